"""Quantized ONNX models become integer graphs, and firmware whose bytes are those of the integer reference."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import helper

from tests.onnx.models import cnn, model, node
from thimble.compiler.driver.cli import cli
from thimble.compiler.importers.onnx import import_onnx
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.support import check_supported, computes_in_float
from thimble.compiler.passes.float_pipeline import prepare
from thimble.compiler.passes.pipeline import run_passes

SAMPLES = 24


def images(seed: int, count: int = SAMPLES) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 1, 3, 16, 16)).astype(np.float32)


def quantized(folder: Path, activation: str, per_channel: bool, form: str = "QDQ") -> bytes:
    """The test CNN quantized by onnxruntime's own tool."""
    tool = pytest.importorskip("onnxruntime.quantization", reason="onnxruntime is not installed")

    class Reader(tool.CalibrationDataReader):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            self._samples: Iterator[np.ndarray] = iter(images(1))

        def get_next(self) -> dict[str, np.ndarray] | None:
            sample = next(self._samples, None)
            return None if sample is None else {"x": sample}

    source, target = folder / "float.onnx", folder / "quantized.onnx"
    proto = cnn(np.random.default_rng(3), normalized=False)  # the tool wants it folded
    proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 10]))
    onnx.save(proto, source)
    tool.quantize_static(
        str(source),
        str(target),
        Reader(),
        quant_format=getattr(tool.QuantFormat, form),
        activation_type=getattr(tool.QuantType, activation),
        weight_type=tool.QuantType.QInt8,
        per_channel=per_channel,
    )
    return target.read_bytes()


def stored(graph: Graph, image: np.ndarray) -> np.ndarray:
    order = graph.values[graph.inputs[0]].source_order
    return np.ascontiguousarray(image if order is None else image.transpose(order))


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("activation", ["QInt8", "QUInt8"])
def test_qdq_model_becomes_integers(activation: str, per_channel: bool, tmp_path: Path) -> None:
    data = quantized(tmp_path, activation, per_channel)
    graph = run_passes(prepare(import_onnx(data, "qdq")))
    check_supported(graph)
    assert not any(map(computes_in_float, graph.sites))
    kinds = [n.op.name for n in graph.nodes]
    assert kinds[0] == "quantize"
    assert kinds[-1] == "dequantize"
    assert "transpose" not in kinds
    assert {v.type.dtype for v in graph.values if v.data is None} <= {DType.INT8, DType.FLOAT32}
    session: Any = pytest.importorskip("onnxruntime").InferenceSession(data, providers=["CPUExecutionProvider"])
    executor = Executor(graph)
    ours = np.concatenate([executor.invoke([stored(graph, x)])[0] for x in images(2)])
    theirs = np.concatenate([session.run(None, {"x": x})[0] for x in images(2)])
    assert np.abs(ours - theirs).max() <= 0.05  # probabilities: a few steps of 1/256
    assert (ours.argmax(1) == theirs.argmax(1)).mean() >= 0.9


def test_firmware_of_a_qdq_model_gives_the_bytes_of_the_reference(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(quantized(tmp_path, "QInt8", True))
    np.savez(tmp_path / "data.npz", x=images(2)[:, 0], y=np.zeros(SAMPLES, np.int64))
    build = tmp_path / "out"
    runner = CliRunner()
    made = runner.invoke(cli, ["compile", str(path), "-t", "stm32l4r5zi", "-o", str(build), "-q"])
    assert made.exit_code == 0, made.output
    assert (build / "model.onnx").read_bytes() == path.read_bytes()
    options = ["--data", str(tmp_path / "data.npz"), "--on", "host", "-q"]
    checked = runner.invoke(cli, ["verify", str(build), *options])
    assert checked.exit_code == 0, checked.output
    report = json.loads((build / "report.json").read_text())
    assert report["model"]["source_format"] == "onnx"
    assert report["verify"]["mismatched_values"] == 0
    assert report["verify"]["samples"] == SAMPLES
    assert report["accuracy"]["reference"] is not None


def test_float_onnx_model_asks_for_quantization(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(cnn(np.random.default_rng(3)).SerializeToString())
    result = CliRunner().invoke(cli, ["analyze", str(path), "-t", "stm32l4r5zi", "--json", "-q"])
    analysis = json.loads(result.stdout)
    assert not analysis["supported"]
    assert all("Quantize the model to int8 first: --quantize." in blocker for blocker in analysis["blockers"])


def test_weights_come_back_as_the_integers_of_the_model() -> None:
    rng = np.random.default_rng(6)
    stored_weights = rng.integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
    scales = rng.uniform(0.001, 0.1, 4).astype(np.float32)
    bias = rng.integers(-1000, 1000, 4).astype(np.int32)
    constants = {
        **{"xs": np.float32(0.05), "xz": np.int8(3), "w": stored_weights, "ws": scales, "wz": np.zeros(4, np.int8)},
        **{"b": bias, "bs": np.float32(0.05) * scales, "bz": np.zeros(4, np.int32)},
        **{"ys": np.float32(0.2), "yz": np.int8(-7)},
    }
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"),
        node("DequantizeLinear", "q xs xz", "d"),
        node("DequantizeLinear", "w ws wz", "wd", axis=0),
        node("DequantizeLinear", "b bs bz", "bd", axis=0),
        node("Conv", "d wd bd", "c"),
        node("QuantizeLinear", "c ys yz", "cq"),
        node("DequantizeLinear", "cq ys yz", "y"),
    ]
    graph = prepare(import_onnx(model(nodes, {"x": (1, 3, 8, 8)}, ["y"], constants).SerializeToString(), "qdq"))
    (conv,) = (site for site in graph.sites if site.op.name == "conv_2d")
    assert (conv.input(1).constant == stored_weights.transpose(0, 2, 3, 1)).all()
    assert conv.input(1).quant.scales == tuple(map(float, scales))
    assert (conv.input(2).constant == bias).all()
    assert (conv.input(0).quant.scale, conv.input(0).quant.zero_point) == (float(np.float32(0.05)), 3)
    assert (conv.output().quant.scale, conv.output().quant.zero_point) == (float(np.float32(0.2)), -7)


def test_qlinear_conv_is_the_same_as_its_qdq_form() -> None:
    rng = np.random.default_rng(7)
    constants = {
        **{"xs": np.float32(0.05), "xz": np.uint8(130), "ws": np.float32([0.02, 0.03]), "wz": np.zeros(2, np.int8)},
        **{"w": rng.integers(-127, 128, (2, 3, 3, 3)).astype(np.int8), "ys": np.float32(0.3), "yz": np.uint8(120)},
        **{"b": rng.integers(-500, 500, 2).astype(np.int32)},
    }
    nodes = [
        node("QuantizeLinear", "x xs xz", "q"),
        node("QLinearConv", "q xs xz w ws wz ys yz b", "c"),
        node("DequantizeLinear", "c ys yz", "y"),
    ]
    graph = prepare(import_onnx(model(nodes, {"x": (1, 3, 6, 6)}, ["y"], constants).SerializeToString(), "qlinear"))
    check_supported(graph)
    assert [n.op.name for n in graph.nodes] == ["quantize", "conv_2d", "dequantize"]
    assert graph.sites[1].input(0).quant.zero_point == 2
    assert graph.sites[1].output().quant.zero_point == -8


IMAGE, ROWS = (1, 4, 8, 6), (1, 5, 8)
BETWEEN: dict[str, tuple[tuple[int, ...], Any, dict[str, Any], float]] = {
    # the float operators between DequantizeLinear (a, and b of the same shape) and QuantizeLinear: y; output scale
    "Add": (IMAGE, node("Add", "a b", "y"), {}, 0.06),
    "Sub": (IMAGE, node("Sub", "a b", "y"), {}, 0.06),
    "Mul": (IMAGE, node("Mul", "a b", "y"), {}, 0.1),
    "Max": (IMAGE, node("Max", "a b", "y"), {}, 0.04),
    "Relu": (IMAGE, node("Relu", "a", "y"), {}, 0.02),
    "LeakyRelu": (IMAGE, node("LeakyRelu", "a", "y", alpha=0.1), {}, 0.03),
    "Sigmoid": (IMAGE, node("Sigmoid", "a", "y"), {}, 0.005),
    "Tanh": (IMAGE, node("Tanh", "a", "y"), {}, 0.01),
    "HardSwish": (IMAGE, node("HardSwish", "a", "y"), {}, 0.03),
    "Elu": (IMAGE, node("Elu", "a", "y"), {}, 0.03),
    "Exp": (IMAGE, node("Exp", "a", "y"), {}, 0.4),
    "Erf": (IMAGE, node("Erf", "a", "y"), {}, 0.01),
    "Softplus": (IMAGE, node("Softplus", "a", "y"), {}, 0.03),
    "Softmax of channels": (IMAGE, node("Softmax", "a", "y", axis=1), {}, 0.005),
    "Concat": (IMAGE, node("Concat", "a b", "y", axis=1), {}, 0.04),
    "AveragePool": (IMAGE, node("AveragePool", "a", "y", kernel_shape=[2, 2], strides=[2, 2]), {}, 0.03),
    "MaxPool": (IMAGE, node("MaxPool", "a", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1]), {}, 0.04),
    "GlobalAveragePool": (IMAGE, node("GlobalAveragePool", "a", "y"), {}, 0.01),
    "ReduceMean": (ROWS, node("ReduceMean", "a", "y", axes=[1], keepdims=0), {}, 0.02),
    "Pad": (IMAGE, node("Pad", "a p", "y"), {"p": np.int64([0, 0, 1, 2, 0, 0, 3, 0])}, 0.04),
    "Resize": (IMAGE, node("Resize", "a - s", "y", mode="linear"), {"s": np.float32([1, 1, 2, 2])}, 0.04),
    "Transpose": (IMAGE, node("Transpose", "a", "y", perm=[0, 3, 1, 2]), {}, 0.04),
    "Slice": (IMAGE, node("Slice", "a b1 e1", "y"), {"b1": np.int64([0, 1]), "e1": np.int64([1, 3])}, 0.04),
    "Reshape": (IMAGE, node("Reshape", "a t", "y"), {"t": np.int64([1, -1])}, 0.04),
    "MatMul": ((1, 8, 8), node("MatMul", "a b", "y"), {}, 0.2),
}


@pytest.mark.parametrize("name", BETWEEN)
def test_operator_between_becomes_integers(name: str) -> None:
    shape, between, constants, scale = BETWEEN[name]
    constants = {
        **constants,
        **{"as": np.float32(0.035), "az": np.int8(5), "bs": np.float32(0.04), "bz": np.int8(-9)},
        **{"ys": np.float32(scale), "yz": np.int8(-20)},
    }
    nodes = [
        *(node("QuantizeLinear", "xa as az", "qa"), node("DequantizeLinear", "qa as az", "a")),
        *(node("QuantizeLinear", "xb bs bz", "qb"), node("DequantizeLinear", "qb bs bz", "b")),
        between,
        *(node("QuantizeLinear", "y ys yz", "qy"), node("DequantizeLinear", "qy ys yz", "out")),
        *(node("Identity", "b", "other"),),
    ]
    proto = model(nodes, {"xa": shape, "xb": shape}, ["out", "other"], constants)
    graph = run_passes(prepare(import_onnx(proto.SerializeToString(), "between")))
    check_supported(graph)
    assert not any(map(computes_in_float, graph.sites))
    rng = np.random.default_rng(9)
    given = {x: rng.normal(0, 1.2, shape).astype(np.float32) for x in ("xa", "xb")}
    session: Any = pytest.importorskip("onnxruntime").InferenceSession(proto.SerializeToString())
    expected = session.run(None, given)[0]
    orders = [graph.values[i].source_order for i in graph.inputs]
    pairs = zip(given.values(), orders, strict=True)
    inputs = [x if order is None else np.ascontiguousarray(x.transpose(order)) for x, order in pairs]
    ours = Executor(graph).invoke(inputs)[0]
    order = graph.values[graph.outputs[0]].source_order
    ours = ours if order is None else ours.transpose(np.argsort(order))
    steps = np.abs(ours - expected) / scale
    assert steps.max() <= 2.01
    assert (steps < 0.5).mean() > 0.7  # most of them are the very same step
