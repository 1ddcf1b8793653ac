"""Quantization from files to files: the command line, calibration data, builds, ONNX in onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

import thimble
from tests.quantize.networks import FloatNetwork, many_operators, samples, small_classifier
from thimble.compiler.driver.calibration_data import load_calibration
from thimble.compiler.driver.cli import cli
from thimble.compiler.driver.options import QuantizeOptions
from thimble.compiler.driver.quantize import quantize_file, run_real
from thimble.compiler.exporters.onnx import export_qdq
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.onnx import import_onnx
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import AccuracyMissed, ThimbleError, UnsupportedOp, UsageError
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.elu import Elu
from thimble.compiler.ops.executor import BatchExecutor
from thimble.compiler.passes.float_pipeline import prepare
from thimble.quantize.calibration import Calibration
from thimble.quantize.quantizer import Method, quantize_graph


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """A float model, calibration samples, and labelled samples whose labels are the float model's own answers."""
    graph = small_classifier()
    paths = {"model": tmp_path / "net.tflite", "calibration": tmp_path / "c.npz", "data": tmp_path / "d.npz"}
    paths["model"].write_bytes(export_tflite(graph))
    np.savez(paths["calibration"], x=samples(graph, 48).inputs[0].reshape(-1, 8, 8, 3))
    x = samples(graph, 60, seed=4).inputs[0].reshape(-1, 8, 8, 3)
    np.savez(paths["data"], x=x, y=BatchExecutor(graph).invoke([x])[0].argmax(axis=1))
    return paths


def test_compiled_and_verified(files: dict[str, Path], tmp_path: Path) -> None:
    options = QuantizeOptions(Method.FAST, files["calibration"], files["data"])
    report = thimble.compile(files["model"], "stm32l4r5zi", tmp_path / "out", quantize=options, max_drop_percent=50.0)
    quantization = report["quantization"]
    assert quantization["accuracy"]["float"] == 100
    assert quantization["accuracy"]["integers"] > 80
    ratios = [row["sqnr_db"] for row in quantization["layers"]]
    assert ratios == sorted(ratios)
    assert len(ratios) == 10
    assert report["model"]["float_model"]["file"] == "float_model.tflite"
    verified = thimble.verify(tmp_path / "out", files["data"], on="host")
    assert verified["verify"]["mismatched_values"] == 0
    assert verified["accuracy"]["reference_model"] == "float"
    assert verified["accuracy"]["reference"] == 100
    assert verified["accuracy"]["simulated"] == quantization["accuracy"]["integers"]


def test_float_model_that_was_changed_is_not_compared_with(files: dict[str, Path], tmp_path: Path) -> None:
    options = QuantizeOptions(Method.FAST, files["calibration"])
    thimble.compile(files["model"], "stm32l4r5zi", tmp_path / "out", quantize=options)
    kept = tmp_path / "out" / "float_model.tflite"
    kept.write_bytes(kept.read_bytes() + b"\0")
    with pytest.raises(UsageError, match="not the model that was quantized"):
        thimble.verify(tmp_path / "out", files["data"], on="host", samples=4)


def invoke(*arguments: object) -> Any:
    """The command line's result."""
    return CliRunner().invoke(cli, [str(a) for a in arguments])


def test_command_writes_both_formats(files: dict[str, Path], tmp_path: Path) -> None:
    for suffix in ("onnx", "tflite"):
        out = tmp_path / f"q.{suffix}"
        result = invoke("quantize", files["model"], "--calibration", files["calibration"], "-o", out)
        assert result.exit_code == 0, result.output
        assert "worst layers first" in result.output
        assert out.stat().st_size > 1000
    imported = import_tflite((tmp_path / "q.tflite").read_bytes(), "q")
    assert {node.op.name for node in imported.nodes} >= {"conv_2d", "softmax"}


def test_quantized_onnx_is_compiled_and_verified(files: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "q.onnx"
    assert invoke("quantize", files["model"], "--calibration", files["calibration"], "-o", out).exit_code == 0
    thimble.compile(out, "stm32l4r5zi", tmp_path / "out")
    verified = thimble.verify(tmp_path / "out", files["data"], on="host")
    assert verified["verify"]["mismatched_values"] == 0
    assert verified["accuracy"]["simulated"] > 80


def test_images_keep_the_order_of_the_onnx_model(tmp_path: Path) -> None:
    """Calibration, evaluation and the firmware take (N, C, H, W) as the float ONNX model does."""
    rng = np.random.default_rng(3)
    kernel = rng.normal(size=(4, 2, 3, 3)).astype(np.float32)
    nodes = [
        onnx.helper.make_node("Conv", ["image", "kernel"], ["sums"], pads=[1, 1, 1, 1]),
        onnx.helper.make_node("GlobalAveragePool", ["sums"], ["means"]),
        onnx.helper.make_node("Flatten", ["means"], ["scores"]),
    ]
    graph = onnx.helper.make_graph(
        nodes,
        "conv",
        [onnx.helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, (1, 2, 6, 5))],
        [onnx.helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, (1, 4))],
        [onnx.numpy_helper.from_array(kernel, "kernel")],
    )
    model = tmp_path / "conv.onnx"
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8), model)
    x = rng.normal(size=(40, 2, 6, 5)).astype(np.float32)
    import onnxruntime

    session = onnxruntime.InferenceSession(model.read_bytes(), providers=["CPUExecutionProvider"])
    labels = np.array([int(session.run(None, {"image": sample[None]})[0].argmax()) for sample in x])
    np.savez(tmp_path / "d.npz", x=x, y=labels)
    options = QuantizeOptions(Method.FAST, list(x))
    thimble.compile(model, "stm32l4r5zi", tmp_path / "out", quantize=options)
    verified = thimble.verify(tmp_path / "out", tmp_path / "d.npz", on="host")
    assert verified["verify"]["mismatched_values"] == 0
    assert verified["accuracy"]["reference"] == 100
    assert verified["accuracy"]["simulated"] > 85


def test_emit_quantizes_too(files: dict[str, Path]) -> None:
    arguments = ("compile", files["model"], "-t", "stm32l4r5zi", "--emit", "graph", "--quantize", "fast")
    result = invoke(*arguments, "--calibration", files["calibration"])
    assert result.exit_code == 0, result.output
    assert "int8 scale=" in result.output
    assert "float32" not in result.output


def test_budget_at_the_command_line(files: dict[str, Path], tmp_path: Path) -> None:
    common = ("quantize", files["model"], "--calibration", files["calibration"], "-o", tmp_path / "q.tflite")
    met = invoke(*common, "--data", files["data"], "--max-drop", 60, "--json")
    assert met.exit_code == 0, met.output
    assert "points lost in int8" in met.output
    assert invoke(*common, "--max-drop", 1).exit_code == 2


def test_budget_that_is_missed_writes_nothing(files: dict[str, Path], tmp_path: Path) -> None:
    """Samples of one far outlier widen every range until int8, and then int16, tell no two inputs apart."""
    outlier = tmp_path / "outlier.npz"
    np.savez(outlier, x=np.full((40, 8, 8, 3), 1e9, np.float32) * np.linspace(-1, 1, 40)[:, None, None, None])
    out = tmp_path / "q.tflite"
    result = invoke(
        *("quantize", files["model"], "--calibration", outlier, "-o", out),
        *("--data", files["data"], "--max-drop", 1),
    )
    assert isinstance(result.exception, AccuracyMissed)
    assert result.exception.exit_code == 6
    assert not out.exists()


CASES: tuple[tuple[tuple[object, ...], str], ...] = (
    (("--quantize", "fast"), "needs --calibration"),
    (("--calibration", "c.npz"), "go with --quantize"),
    (("--symmetric",), "go with --quantize"),
    (("--activations", "int16"), "go with --quantize"),
)


@pytest.mark.parametrize(("arguments", "words"), CASES)
def test_options_that_need_each_other(files: dict[str, Path], arguments: tuple[object, ...], words: str) -> None:
    result = invoke("compile", files["model"], "-t", "stm32l4r5zi", "-o", files["model"].parent / "out", *arguments)
    assert isinstance(result.exception, ThimbleError)
    assert words in str(result.exception)
    assert result.exception.exit_code == 2


def test_integer_model_needs_no_quantization(files: dict[str, Path], tmp_path: Path) -> None:
    made = quantize_file(files["model"], QuantizeOptions(Method.FAST, files["calibration"]))
    integers = tmp_path / "integers.tflite"
    integers.write_bytes(made.file)
    with pytest.raises(UsageError, match="integers already: leave"):
        quantize_file(integers, QuantizeOptions(Method.FAST, files["calibration"]))


def test_from_python(files: dict[str, Path], tmp_path: Path) -> None:
    x = samples(small_classifier(), 40).inputs[0]
    out = tmp_path / "q.tflite"
    report = thimble.quantize_model(files["model"], out, iter(x), data=files["data"])
    assert report["accuracy"]["integers"] > 80
    assert import_tflite(out.read_bytes(), "q").inputs
    with pytest.raises(UsageError, match=r"write an \.onnx or a \.tflite file"):
        thimble.quantize_model(files["model"], tmp_path / "q.bin", iter(x))


def test_calibration_from_folder_and_from_arrays(tmp_path: Path) -> None:
    graph = small_classifier()
    x = samples(graph, 5).inputs[0]
    for i, sample in enumerate(x):
        np.save(tmp_path / f"{i}.npy", sample if i % 2 else sample[0])
    np.save(tmp_path / "stack.npy", x[:, 0])
    folder = load_calibration(tmp_path, graph)
    np.testing.assert_array_equal(folder.inputs[0], np.concatenate([x, x]))
    arrays = load_calibration((sample for sample in x), graph)
    np.testing.assert_array_equal(arrays.inputs[0], x)


def test_calibration_that_does_not_fit(tmp_path: Path) -> None:
    graph = small_classifier()
    with pytest.raises(UsageError, match=r"holds no \.npy"):
        load_calibration(tmp_path, graph)
    (tmp_path / "a.npy").write_bytes(b"no array")
    with pytest.raises(UsageError, match=r"is no \.npy file"):
        load_calibration(tmp_path, graph)
    with pytest.raises(UsageError, match=r"the model takes \(N, "):
        load_calibration([np.zeros((7, 7, 3))], graph)
    with pytest.raises(UsageError, match="must hold numbers"):
        load_calibration([np.full((8, 8, 3), "a")], graph)
    with pytest.raises(UsageError, match="no samples"):
        load_calibration([], graph)


def onnxruntime_outputs(model: bytes, calibration: Calibration) -> list[np.ndarray]:
    """What onnxruntime gives for each sample, its own optimizations off."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    names = [tensor.name for tensor in session.get_inputs()]
    runs = [session.run(None, dict(zip(names, x, strict=True))) for x in zip(*calibration.inputs, strict=True)]
    return [np.stack(outputs) for outputs in zip(*runs, strict=True)]


@pytest.mark.parametrize("build", [small_classifier, many_operators])
def test_onnxruntime_agrees_within_rounding(build: Any) -> None:
    graph: Graph = build()
    made = quantize_graph(graph, samples(graph)).graph
    fresh = samples(graph, 10, seed=7)
    theirs = onnxruntime_outputs(export_qdq(made), fresh)
    for index, want, got in zip(made.outputs, run_real(made, fresh.inputs), theirs, strict=True):
        steps = np.abs(got.reshape(want.shape) - want) / made.values[index].quant.scale
        assert steps.max() <= 4
        assert (steps < 0.5).mean() > 0.65


def test_qdq_file_comes_back_as_the_same_integers() -> None:
    graph = small_classifier()
    made = quantize_graph(graph, samples(graph)).graph
    back = prepare(import_onnx(export_qdq(made), "back"))
    weights = [v.constant for v in made.values if v.data is not None and v.type.dtype.name == "INT8"]
    stored = [v.constant for v in back.values if v.data is not None and v.type.dtype.name == "INT8"]
    assert sorted(w.tobytes() for w in weights) == sorted(w.tobytes() for w in stored)
    fresh = samples(graph, 8, seed=7)
    np.testing.assert_array_equal(run_real(back, fresh.inputs)[0], run_real(made, fresh.inputs)[0])


def test_file_is_valid_and_images_move_once() -> None:
    graph = small_classifier()
    model = onnx.load_from_string(export_qdq(quantize_graph(graph, samples(graph)).graph))
    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("Transpose") == 2  # the image comes in, and its channels go last before they are flattened


def test_operator_without_onnx_form_is_named() -> None:
    net = FloatNetwork()
    graph = net.graph(net.op(Elu(), net.conv(net.input(1, 4, 4, 2), 3)))
    with pytest.raises(UnsupportedOp, match="elu cannot be written"):
        export_qdq(quantize_graph(graph, samples(graph)).graph)
