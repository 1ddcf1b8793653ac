"""INT4, UINT4, INT2 and UINT2 tensors of ONNX files: written, read back as the same integers, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

import thimble
from tests.quantize.networks import samples, small_classifier
from thimble.compiler.driver.build_folder import import_model, optimize
from thimble.compiler.exporters.onnx import export_qdq
from thimble.compiler.importers.onnx import import_onnx
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.packing import pack
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.executor import Executor
from thimble.compiler.passes.float_pipeline import prepare
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights, on_fewer_levels
from thimble.quantize.quantizer import Method, quantize_graph
from thimble.quantize.weights import has_weights

WIDTHS = [(DType.INT4, None), (DType.INT8, DType.INT4), (DType.INT4, DType.INT4), (DType.INT2, DType.INT2)]
"""Of weights, and of activations, of which None are left as they are."""


def narrowed(weights: DType, activations: DType | None) -> Graph:
    """A quantized classifier with all weights and activations in these types, as far as it takes them."""
    source = prepare(small_classifier())
    graph = optimize(quantize_graph(source, samples(source, 24), Method.FAST).graph)[0]
    chosen = {i: narrow_weights(s, weights) for i, s in enumerate(graph.sites) if weights.is_packed and has_weights(s)}
    values = {}
    for index, value in enumerate(graph.values):
        inner = value.role is Role.ACTIVATION and value.type.dtype is DType.INT8 and index not in graph.outputs
        if activations is not None and inner:
            values[index] = NarrowValue(activations, on_fewer_levels(value.quant, activations))
    return narrow(graph, chosen, values).graph


def _layers(graph: Graph) -> list[tuple[object, ...]]:
    """Operators between quantized values with their types, scales and constants."""
    return [
        (
            type(site.op),
            tuple((v.type, None if v.data is None else v.constant.tobytes()) for v in site.inputs if v is not None),
            tuple(v.type for v in site.outputs),
        )
        for site in graph.sites
        if all(v is None or v.type.dtype is not DType.FLOAT32 for v in (*site.inputs, *site.outputs))
    ]


@pytest.mark.parametrize(("weights", "activations"), WIDTHS)
def test_files_come_back_as_the_same_integers(weights: DType, activations: DType | None) -> None:
    graph = narrowed(weights, activations)
    file = export_qdq(graph)
    back = optimize(import_model(file, Path("q.onnx")))[0]
    assert _layers(back) == _layers(optimize(graph)[0])
    opset = onnx.load_from_string(file).opset_import[0].version
    assert opset == (25 if DType.INT2 in (weights, activations) else 21)


def opened(file: bytes) -> Any:
    """A session without fusions: those of quantized operators know 8 and 16 bits alone."""
    runtime = pytest.importorskip("onnxruntime")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return runtime.InferenceSession(file, options)


@pytest.mark.parametrize(("weights", "activations"), [*WIDTHS[:-1], (DType.INT2, None)])
def test_onnxruntime_opens_them(weights: DType, activations: DType | None) -> None:
    graph = narrowed(weights, activations)
    session = opened(export_qdq(graph))
    back = Executor(optimize(import_model(export_qdq(graph), Path("q.onnx")))[0])
    worst = []
    for x in samples(prepare(small_classifier()), 12, seed=9).inputs[0]:
        (theirs,) = session.run(None, {session.get_inputs()[0].name: x})
        worst.append(np.abs(theirs.reshape(-1) - back.invoke([x])[0].reshape(-1)).max())
    step = graph.values[graph.outputs[0]].type.quant
    assert step is not None
    assert np.median(worst) <= 4 * step.scale * (1 if activations is None else 4)


def test_firmware_of_them_has_the_reference_bytes(tmp_path: Path) -> None:
    model = tmp_path / "q.onnx"
    model.write_bytes(export_qdq(narrowed(DType.INT4, DType.INT4)))
    report = thimble.compile(model, "stm32l4r5zi", tmp_path / "out")
    assert {row["bits"] for row in report["narrow_tensors"]} == {4}
    verified = thimble.verify(tmp_path / "out", samples=4)
    assert verified["verify"]["mismatched_values"] == 0


def product(nodes: Sequence[NodeProto], constants: Sequence[TensorProto]) -> bytes:
    """x (2, 8), quantized with s and z, times wd (8, 6): m, which is quantized with so and zo to y."""
    chain = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "s", "z"], ["xd"]),
        *nodes,
        helper.make_node("MatMul", ["xd", "wd"], ["m"]),
        helper.make_node("QuantizeLinear", ["m", "so", "zo"], ["mq"]),
        helper.make_node("DequantizeLinear", ["mq", "so", "zo"], ["y"]),
    ]
    x, y = (helper.make_tensor_value_info(n, TensorProto.FLOAT, [2, w]) for n, w in (("x", 8), ("y", 6)))
    graph = helper.make_graph(chain, "product", [x], [y], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=13)
    return bytes(model.SerializeToString())


def scale(name: str, value: object) -> TensorProto:
    return numpy_helper.from_array(np.array(value, np.float32), name)


def packed(name: str, code: int, values: np.ndarray) -> TensorProto:
    """Values of 4 or 2 bits; unsigned ones are given less half of their range."""
    signed = DType.INT2 if code in (TensorProto.INT2, TensorProto.UINT2) else DType.INT4
    is_signed = code in (TensorProto.INT2, TensorProto.INT4)
    raw = pack(values.reshape(-1).astype(np.int8), signed)
    raw = raw if is_signed else _flip(raw, values.size, signed)
    return helper.make_tensor(name, code, values.shape, raw.tobytes(), raw=True)


def _flip(raw: np.ndarray, count: int, dtype: DType) -> np.ndarray:
    """Add half of the range to each field: its highest bit the other way round, but behind the last one."""
    mask = pack(np.full(count, -(1 << dtype.bits - 1), np.int8), dtype)
    return np.asarray(raw ^ mask)


def int8_ends() -> list[TensorProto]:
    zeros = (numpy_helper.from_array(np.array(3, np.int8), name) for name in ("z", "zo"))
    return [scale("s", 0.02), scale("so", 0.1), *zeros]


@pytest.mark.parametrize("code", [TensorProto.INT4, TensorProto.UINT4, TensorProto.INT2, TensorProto.UINT2])
def test_weights_of_other_makers(code: int) -> None:
    bits = 4 if code in (TensorProto.INT4, TensorProto.UINT4) else 2
    half = 1 << (bits - 1)
    w = np.random.default_rng(bits).integers(-half, half, (8, 6))
    unsigned = code in (TensorProto.UINT4, TensorProto.UINT2)
    zero = [packed("wz", code, np.array(0))] if unsigned else []  # half of the range
    nodes = [helper.make_node("DequantizeLinear", ["w", "ws", *(["wz"] if unsigned else [])], ["wd"])]
    data = product(nodes, [*int8_ends(), packed("w", code, w), scale("ws", 0.05), *zero])
    graph = optimize(import_model(data, Path("m.onnx")))[0]
    (site,) = (site for site in graph.sites if site.op.name == "fully_connected")
    assert site.input(1).type.dtype is DType(f"int{bits}")
    assert (site.input(1).constant == w.T).all()


@pytest.mark.parametrize("code", [TensorProto.INT4, TensorProto.UINT4])
def test_activations_of_other_makers(code: int) -> None:
    w = np.random.default_rng(3).integers(-8, 8, (8, 6))
    zeros = [packed("z", code, np.array(1)), packed("zo", code, np.array(-2))]
    nodes = [helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"])]
    weights = [packed("w", TensorProto.INT4, w), scale("ws", 0.05)]
    data = product(nodes, [scale("s", 0.3), scale("so", 0.3), *zeros, *weights])
    graph = optimize(import_model(data, Path("m.onnx")))[0]
    (site,) = (site for site in graph.sites if site.op.name == "fully_connected")
    assert (site.input(0).type.dtype, site.output().type.dtype) == (DType.INT4, DType.INT4)
    session, ours = opened(data), Executor(graph)
    rng = np.random.default_rng(4)
    for _ in range(20):
        x = rng.normal(0, 1, (2, 8)).astype(np.float32)
        assert np.abs(session.run(None, {"x": x})[0] - ours.invoke([x])[0]).max() <= 0.3001  # a step


def test_blocks_of_scales_are_refused() -> None:
    nodes = [helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"], axis=0, block_size=4)]
    w = packed("w", TensorProto.INT4, np.zeros((8, 6), np.int64))
    with pytest.raises(UnsupportedOp, match="a scale for each block of 4 values"):
        import_onnx(product(nodes, [*int8_ends(), w, scale("ws", np.ones((2, 6)))]), "m")


@pytest.mark.parametrize("size", [0, 23, 25, 48])
def test_data_of_another_length_is_refused(size: int) -> None:
    w = packed("w", TensorProto.INT4, np.zeros((8, 6), np.int64))
    w.raw_data = bytes(size)
    nodes = [helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"])]
    with pytest.raises(MalformedModel, match=f"needs 24 bytes, but holds {size}"):
        import_onnx(product(nodes, [*int8_ends(), w, scale("ws", 0.05)]), "m")


def test_huge_shapes_are_refused() -> None:
    w = helper.make_tensor("w", TensorProto.INT4, (8, 6), bytes(24), raw=True)
    w.dims[:] = [1 << 30, 1 << 30]
    nodes = [helper.make_node("DequantizeLinear", ["w", "ws"], ["wd"])]
    with pytest.raises(MalformedModel, match="would take more than"):
        import_onnx(product(nodes, [*int8_ends(), w, scale("ws", 0.05)]), "m")
