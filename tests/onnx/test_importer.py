"""The ONNX importer: layout, folding, shapes, blockers, external data; float results against onnxruntime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import ModelProto, TensorProto, helper

from tests.onnx.models import cnn, model, node
from tests.shared_data import data_folder
from thimble.compiler.importers.onnx import import_onnx, self_contained
from thimble.compiler.ir.errors import MalformedModel, ThimbleError, UnsupportedOp, UsageError
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.executor import BatchExecutor, Executor
from thimble.compiler.ops.transpose import Transpose
from thimble.compiler.passes.float_pipeline import prepare


def imported(proto: ModelProto, **options: Any) -> Graph:
    return import_onnx(proto.SerializeToString(), "test", **options)


def run(graph: Graph, *inputs: np.ndarray) -> list[np.ndarray]:
    """Outputs in the order of dimensions of the file, from inputs in it."""
    stored = []
    for index, array in zip(graph.inputs, inputs, strict=True):
        order = graph.values[index].source_order
        stored.append(array if order is None else np.ascontiguousarray(array.transpose(order)))
    outputs = Executor(graph).invoke(stored)
    orders = [graph.values[index].source_order for index in graph.outputs]
    return [y if o is None else y.transpose(np.argsort(o)) for y, o in zip(outputs, orders, strict=True)]


def run_onnxruntime(proto: ModelProto, *inputs: np.ndarray) -> list[np.ndarray]:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [entry.name for entry in session.get_inputs()]
    return [np.asarray(y) for y in session.run(None, dict(zip(names, inputs, strict=True)))]


def kinds(graph: Graph) -> list[str]:
    return [n.op.name for n in graph.nodes]


def test_cnn_gives_what_onnxruntime_gives_and_folds() -> None:
    rng = np.random.default_rng(3)
    proto = cnn(rng)
    x = rng.normal(size=(1, 3, 16, 16)).astype(np.float32)
    graph = prepare(imported(proto))
    for made in (imported(proto), graph):
        np.testing.assert_allclose(run(made, x)[0], run_onnxruntime(proto, x)[0], rtol=1e-4, atol=1e-6)
    assert kinds(graph) == [
        *("conv_2d", "depthwise_conv_2d", "conv_2d", "add", "max_pool_2d", "reshape", "fully_connected", "softmax")
    ]
    first, second = graph.nodes[0].op, graph.nodes[1].op
    assert isinstance(first, Conv2D)
    assert first.activation is Activation.RELU
    assert getattr(second, "activation", None) is Activation.RELU6
    assert graph.values[graph.inputs[0]].type.shape == (1, 16, 16, 3)
    assert graph.values[graph.inputs[0]].source_order == (0, 2, 3, 1)


@pytest.mark.parametrize(
    ("name", "data", "scale", "percent"), [("ic_resnet8", "ic01", 1, 85.5), ("vww_96", "vww01", 255, 85.3)]
)
def test_shared_cnn_has_no_transposes_and_its_accuracy(name: str, data: str, scale: int, percent: float) -> None:
    path = data_folder() / "models" / "mlperf_tiny" / f"{name}_float.onnx"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    graph = prepare(import_onnx(path.read_bytes(), name))
    assert not any(isinstance(n.op, Transpose) for n in graph.nodes)
    samples = np.load(data_folder() / "eval" / f"{data}_int8.npz")
    x = (samples["x"].astype(np.float32) + 128) / scale
    executor = BatchExecutor(graph)
    scores = np.concatenate([executor.invoke([x[i : i + 100]])[0] for i in range(0, len(x), 100)])
    assert round(float((scores.argmax(1) == samples["y"]).mean() * 100), 1) == percent
    images = np.ascontiguousarray(x[:2].transpose(0, 3, 1, 2))
    proto = onnx.load_from_string(path.read_bytes())
    expected = np.concatenate([run_onnxruntime(proto, images[i : i + 1])[0] for i in range(2)])
    assert np.abs(scores[:2] - expected).max() <= 1e-4 * np.abs(expected).max()


def test_flattened_image_costs_no_transpose_but_permuted_weights() -> None:
    rng = np.random.default_rng(4)
    constants = {
        "w": rng.normal(size=(5, 3, 3, 3)).astype(np.float32),
        "d": rng.normal(size=(5 * 36, 7)).astype(np.float32),
    }
    nodes = [node("Conv", "x w", "c"), node("Flatten", "c", "f"), node("MatMul", "f d", "y")]
    proto = model(nodes, {"x": (1, 3, 8, 8)}, ["y"], constants)
    x = rng.normal(size=(1, 3, 8, 8)).astype(np.float32)
    assert "transpose" in kinds(imported(proto))
    graph = prepare(imported(proto))
    assert "transpose" not in kinds(graph)
    np.testing.assert_allclose(run(graph, x)[0], run_onnxruntime(proto, x)[0], rtol=1e-4, atol=1e-5)


def test_image_output_stays_channels_last_and_says_so() -> None:
    rng = np.random.default_rng(5)
    w = rng.normal(size=(2, 3, 1, 1)).astype(np.float32)
    proto = model([node("Conv", "x w", "c"), node("Relu", "c", "y")], {"x": (1, 3, 4, 5)}, ["y"], {"w": w})
    graph = imported(proto)
    assert kinds(graph) == ["conv_2d", "relu"]
    (output,) = graph.outputs
    assert graph.values[output].type.shape == (1, 4, 5, 2)
    x = rng.normal(size=(1, 3, 4, 5)).astype(np.float32)
    np.testing.assert_allclose(run(graph, x)[0], run_onnxruntime(proto, x)[0], rtol=1e-5, atol=1e-6)


def test_shape_chains_fold() -> None:
    """Reshape to (batch, -1) as PyTorch exports it: Shape, Gather, Unsqueeze, Concat."""
    constants = {"zero": np.int64(0), "axis": np.int64([0]), "rest": np.int64([-1])}
    nodes = [
        node("Relu", "x", "r"),
        node("Shape", "r", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n axis", "u"),
        node("Concat", "u rest", "t", axis=0),
        node("Reshape", "r t", "y"),
    ]
    graph = imported(model(nodes, {"x": ("batch", 2, 3, 4)}, ["y"], constants))
    assert kinds(graph) == ["relu", "reshape"]
    assert graph.values[graph.outputs[0]].type.shape == (1, 24)


def test_dynamic_dimensions_need_a_shape() -> None:
    proto = model([node("Relu", "x", "y")], {"x": ("batch", 3, "height", 8)}, ["y"])
    with pytest.raises(UnsupportedOp, match="--input-shape"):
        imported(proto)
    graph = imported(proto, input_shapes={"x": (1, 3, 6, 8)})
    assert graph.values[graph.outputs[0]].type.shape == (1, 3, 6, 8)
    with pytest.raises(UsageError, match="does not fit"):
        imported(proto, input_shapes={"x": (1, 4, 6, 8)})
    with pytest.raises(UsageError, match="no input 'z'"):
        imported(proto, input_shapes={"z": (1, 4, 6, 8)})


def test_every_blocker_is_listed_and_what_depends_on_it_is_not() -> None:
    nodes = [
        node("Einsum", "x x", "a", equation="ij,ij->ij"),
        node("Relu", "a", "b"),
        node("Unique", "x", "c"),
        node("Add", "b c", "y"),
    ]
    with pytest.raises(UnsupportedOp, match="2 blockers") as caught:
        imported(model(nodes, {"x": (2, 2)}, ["y"]))
    assert [text.partition(":")[0] for text in caught.value.blockers] == ["node 0 (Einsum)", "node 2 (Unique)"]


def test_functions_of_the_model_are_expanded() -> None:
    body = [node("Mul", "a a", "s"), node("Add", "s b", "r")]
    function = helper.make_function("local", "SquareAdd", ["a", "b"], ["r"], body, [helper.make_opsetid("", 17)])
    proto = model([helper.make_node("SquareAdd", ["x", "x"], ["y"], domain="local")], {"x": (2, 3)}, ["y"])
    proto.functions.append(function)
    proto.opset_import.append(helper.make_opsetid("local", 1))
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert run(imported(proto), x)[0].tolist() == (x * x + x).tolist()


def test_functions_without_end_are_refused() -> None:
    body = [helper.make_node("Twice", ["a"], ["r"], domain="local")]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    proto = model([helper.make_node("Twice", ["x"], ["y"], domain="local")], {"x": (2, 3)}, ["y"])
    proto.functions.append(helper.make_function("local", "Twice", ["a"], ["r"], body, opsets))
    proto.opset_import.append(helper.make_opsetid("local", 1))
    with pytest.raises(UnsupportedOp, match="deep"):
        imported(proto)


def with_external(location: str, length: int = 48, offset: int = 0) -> ModelProto:
    proto = model([node("Add", "x w", "y")], {"x": (3, 4)}, ["y"], {"w": np.zeros((3, 4), np.float32)})
    (tensor,) = proto.graph.initializer
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", location), ("offset", offset), ("length", length)):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, str(value)
    return proto


def test_external_data_is_read_from_the_models_folder(tmp_path: Path) -> None:
    w = np.arange(12, dtype=np.float32).reshape(3, 4)
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "weights.bin").write_bytes(b"head" + w.tobytes())
    proto = with_external("inner/weights.bin", offset=4)
    graph = imported(proto, folder=tmp_path)
    assert run(graph, np.zeros((3, 4), np.float32))[0].tolist() == w.tolist()
    embedded = import_onnx(self_contained(proto.SerializeToString(), tmp_path), "alone")
    assert run(embedded, np.zeros((3, 4), np.float32))[0].tolist() == w.tolist()


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "", ".", "link.bin", "a\0b", "missing.bin"])
def test_external_data_stays_in_the_models_folder(location: str, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(48))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    with pytest.raises(MalformedModel):
        imported(with_external(location), folder=folder)


@pytest.mark.parametrize(("length", "offset"), [(48, 1), (47, 0), (2**60, 0), (-1, 0), (48, 2**60)])
def test_external_data_must_hold_the_tensor(length: int, offset: int, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(48))
    with pytest.raises(MalformedModel):
        imported(with_external("w.bin", length, offset), folder=tmp_path)


def test_external_data_without_a_folder_is_refused() -> None:
    with pytest.raises(UnsupportedOp, match="another file"):
        imported(with_external("w.bin"))


def relu(shape: tuple[int, ...]) -> ModelProto:
    return model([node("Relu", "x", "y")], {"x": shape}, ["y"])


def _huge_constant() -> ModelProto:
    proto = model([node("Add", "x w", "y")], {"x": (1,)}, ["y"], {"w": np.zeros(1, np.float32)})
    del proto.graph.initializer[0].dims[:]
    proto.graph.initializer[0].dims.extend([2**40, 2**40])
    return proto


def _text_that_is_none() -> bytes:
    return relu((1, 2)).SerializeToString().replace(b"Relu", b"\xff\xfe\xfd\xfc")


HOSTILE: dict[str, tuple[type[ThimbleError], Any]] = {
    "no model": (MalformedModel, b"this is no model"),
    "empty": (MalformedModel, b""),
    "text that is no UTF-8": (MalformedModel, _text_that_is_none()),
    "huge constant": (MalformedModel, _huge_constant()),
    "huge input": (MalformedModel, relu((1 << 20, 1 << 20))),
    "rank 7": (UnsupportedOp, relu((1,) * 7)),
    "empty tensor": (UnsupportedOp, relu((1, 0))),
    "opset 99": (UnsupportedOp, model([node("Relu", "x", "y")], {"x": (1,)}, ["y"], opset=99)),
    "reads what nobody writes": (MalformedModel, model([node("Relu", "q", "y")], {"x": (1,)}, ["y"])),
    "two writers": (MalformedModel, model([node("Relu", "x", "y"), node("Abs", "x", "y")], {"x": (1,)}, ["y"])),
    "too few inputs": (MalformedModel, model([node("Add", "x", "y")], {"x": (1,)}, ["y"])),
    "wrong type": (MalformedModel, model([node("And", "x x", "y")], {"x": (1,)}, ["y"])),
    "window beyond": (
        MalformedModel,
        model([node("MaxPool", "x", "y", kernel_shape=[2**62, 2])], {"x": (1, 1, 4, 4)}, ["y"]),
    ),
    "pads beyond": (
        MalformedModel,
        model([node("MaxPool", "x", "y", kernel_shape=[2, 2], pads=[9, 9, 9, 9])], {"x": (1, 1, 4, 4)}, ["y"]),
    ),
    "expand beyond": (
        MalformedModel,
        model([node("Expand", "x s", "y")], {"x": (1,)}, ["y"], {"s": np.int64([2**31, 2**31])}),
    ),
    "tile beyond": (
        MalformedModel,
        model([node("Tile", "x s", "y")], {"x": (1,)}, ["y"], {"s": np.int64([2**62])}),
    ),
    "range beyond": (
        MalformedModel,
        model(
            [node("Range", "a b c", "r"), node("Add", "x r", "y")],
            {"x": (1,)},
            ["y"],
            {"a": np.float32(0), "b": np.float32(1e30), "c": np.float32(1)},
        ),
    ),
    "attribute of another type": (MalformedModel, model([node("Softmax", "x", "y", axis=1.5)], {"x": (1, 2)}, ["y"])),
    "axis out of range": (MalformedModel, model([node("Softmax", "x", "y", axis=7)], {"x": (1, 2)}, ["y"])),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_model_is_refused(name: str) -> None:
    kind, given = HOSTILE[name]
    data = given if isinstance(given, bytes) else given.SerializeToString()
    with pytest.raises(kind) as caught:
        import_onnx(data, "hostile")
    assert len(str(caught.value)) <= 400
    assert str(caught.value).isprintable()
