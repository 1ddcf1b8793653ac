"""Exported programs of PyTorch: layers against torch itself; archives that are damaged or pickled; the Python API."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import thimble
from thimble.compiler.driver.build_folder import import_model
from thimble.compiler.driver.options import QuantizeOptions
from thimble.compiler.importers.pytorch import import_pytorch
from thimble.compiler.ir.errors import MalformedModel, ThimbleError, UnsupportedOp
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.executor import Executor
from thimble.compiler.passes.float_pipeline import prepare
from thimble.quantize.quantizer import Method

torch: Any = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn
F = torch.nn.functional


class Network(nn.Module):  # type: ignore[misc, name-defined]
    """Convolutions, normalization, activations, a residual, pools, a dense layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=8)
        self.point, self.dense = nn.Conv2d(8, 8, 1, bias=False), nn.Linear(8, 10)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: Any) -> Any:
        x = F.relu6(self.depthwise(torch.relu(self.norm(self.first(x)))))
        x = F.hardswish(self.point(x)) + x * 0.5
        x = F.adaptive_avg_pool2d(F.max_pool2d(x, 2), 1).flatten(1)
        return F.softmax(self.dense(x), dim=-1)


def exported(module: Any, *inputs: Any) -> bytes:
    buffer = io.BytesIO()
    with torch.no_grad():
        torch.export.save(torch.export.export(module.eval(), inputs), buffer)
    return buffer.getvalue()


def run(graph: Graph, *inputs: Any) -> np.ndarray:
    arrays = []
    for index, tensor in zip(graph.inputs, inputs, strict=True):
        order = graph.values[index].source_order
        array = tensor.numpy()
        arrays.append(np.ascontiguousarray(array if order is None else array.transpose(order)))
    (output,) = Executor(graph).invoke(arrays)
    order = graph.values[graph.outputs[0]].source_order
    return output if order is None else output.transpose(np.argsort(order))


def check(module: Any, *inputs: Any) -> Graph:
    graph = prepare(import_pytorch(exported(module, *inputs), "program"))
    with torch.no_grad():
        expected = module(*inputs).numpy()
    np.testing.assert_allclose(run(graph, *inputs), expected, rtol=1e-4, atol=1e-5)
    return graph


def test_network_is_folded_and_has_no_transposes() -> None:
    torch.manual_seed(1)
    graph = check(Network(), torch.randn(1, 3, 16, 16))
    kinds = [node.op.name for node in graph.nodes]
    assert kinds[:2] == ["conv_2d", "depthwise_conv_2d"]
    assert "transpose" not in kinds
    assert len(kinds) == 11


class Function(nn.Module):  # type: ignore[misc, name-defined]
    """A module of one function."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Any) -> Any:
        return self.function(*inputs)


IMAGE, ROWS = (1, 4, 8, 6), (1, 5, 7)
LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "conv1d": (lambda: nn.Conv1d(5, 6, 3, stride=2, padding=1), ROWS),
    "conv groups": (lambda: nn.Conv2d(4, 6, 3, groups=2, dilation=2, padding=2), IMAGE),
    "conv same": (lambda: nn.Conv2d(4, 6, 3, padding="same"), IMAGE),
    "conv transpose": (lambda: nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1), IMAGE),
    "average pool": (lambda: nn.AvgPool2d(3, stride=2, padding=1), IMAGE),
    "average pool without padding": (lambda: nn.AvgPool2d(3, padding=1, count_include_pad=False), IMAGE),
    "max pool": (lambda: nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True), IMAGE),
    "adaptive pool": (lambda: nn.AdaptiveAvgPool2d((4, 3)), IMAGE),
    "linear of rows": (lambda: nn.Linear(7, 3), ROWS),
    "layer norm": (lambda: nn.LayerNorm(7), ROWS),
    "group norm": (lambda: nn.GroupNorm(2, 4), IMAGE),
    "batch norm": (lambda: nn.BatchNorm2d(4), IMAGE),
    "prelu": (lambda: nn.PReLU(4), IMAGE),
    "upsample nearest": (lambda: nn.Upsample(scale_factor=2), IMAGE),
    "upsample bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    "upsample corners": (lambda: nn.Upsample(size=(9, 11), mode="bilinear", align_corners=True), IMAGE),
    "pixel shuffle": (lambda: nn.PixelShuffle(2), IMAGE),
    "reflection pad": (lambda: nn.ReflectionPad2d((1, 2, 3, 0)), IMAGE),
    "zero pad": (lambda: nn.ZeroPad2d((1, 2, 3, 0)), IMAGE),
    "flatten": (lambda: nn.Sequential(nn.Conv2d(4, 2, 3), nn.Flatten(), nn.Linear(48, 5)), IMAGE),
    "chunk and cat": (lambda: Function(lambda x: torch.cat(x.chunk(2, 1)[::-1], 1)), IMAGE),
    "slices": (lambda: Function(lambda x: x[:, 1:3, ::2, -1]), IMAGE),
    "permute": (lambda: Function(lambda x: x.permute(0, 2, 3, 1).reshape(1, 48, 4) * 2), IMAGE),
    "mean": (lambda: Function(lambda x: x.mean((2, 3)) - x.amax((2, 3)) / 3), IMAGE),
    "attention": (lambda: Function(lambda x: torch.softmax(x @ x.transpose(1, 2) / 3, -1) @ x), ROWS),
    **{
        kind.__name__: (kind, IMAGE)
        for kind in (
            *(nn.ReLU, nn.ReLU6, nn.Hardtanh, nn.LeakyReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Sigmoid, nn.Tanh),
            *(nn.Hardsigmoid, nn.Hardswish, nn.Mish, nn.Softplus, nn.Dropout, nn.Identity),
        )
    },
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer_gives_what_torch_gives(name: str) -> None:
    torch.manual_seed(2)
    make, shape = LAYERS[name]
    check(make().eval(), torch.randn(shape) * 2)


def test_every_blocker_is_named() -> None:
    module = Function(lambda x: torch.linalg.qr(x)[0] + torch.cummax(x, 0)[0])
    with pytest.raises(UnsupportedOp, match="2 blockers") as caught:
        import_pytorch(exported(module, torch.randn(3, 3)), "program")
    assert all("aten." in blocker for blocker in caught.value.blockers)


def test_dynamic_shapes_are_refused() -> None:
    module, buffer = nn.ReLU(), io.BytesIO()
    shapes = {"input": {0: torch.export.Dim("rows")}}
    torch.export.save(torch.export.export(module, (torch.randn(2, 3),), dynamic_shapes=shapes), buffer)
    with pytest.raises(UnsupportedOp, match="dynamic shapes"):
        import_pytorch(buffer.getvalue(), "program")


@pytest.mark.parametrize("suffix", ["pt", "pth", "pt2"])
def test_pickled_file_is_refused_with_the_reason(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model.{suffix}"
    torch.save(nn.Linear(2, 2), path)
    with pytest.raises(UnsupportedOp, match="unpickling runs code"):
        import_model(path.read_bytes(), path)


def changed(data: bytes, name: str, change: Callable[[bytes], bytes | None]) -> bytes:
    """The archive with one of its files changed, or left out."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(target, "w") as made:
        for entry in source.infolist():
            contents: bytes | None = source.read(entry)
            if entry.filename.endswith(name):
                contents = change(contents or b"")
            if contents is not None:
                made.writestr(entry.filename, contents)
    return target.getvalue()


def edited(path: tuple[str | int, ...], value: Any) -> Callable[[bytes], bytes]:
    """A change of one place of a JSON file."""

    def change(contents: bytes) -> bytes:
        whole = place = json.loads(contents)
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = value
        return json.dumps(whole).encode()

    return change


CONFIG, MODEL = "model_weights_config.json", "models/model.json"
META = ("config", "weight", "tensor_meta")
HOSTILE: dict[str, tuple[type[ThimbleError], str, Callable[[bytes], bytes | None]]] = {
    "no weights": (MalformedModel, "weight_0", lambda contents: None),
    "short weights": (MalformedModel, "weight_0", lambda contents: contents[:5]),
    "no JSON": (MalformedModel, MODEL, lambda contents: b"{" * 100_000),
    "other JSON": (MalformedModel, MODEL, lambda contents: b"[1, 2]"),
    "huge size": (MalformedModel, CONFIG, edited((*META, "sizes"), [{"as_int": 2**40}, {"as_int": 2**40}])),
    "negative stride": (MalformedModel, CONFIG, edited((*META, "strides"), [{"as_int": -4}, {"as_int": 1}])),
    "far stride": (MalformedModel, CONFIG, edited((*META, "strides"), [{"as_int": 2**50}, {"as_int": 1}])),
    "far offset": (MalformedModel, CONFIG, edited((*META, "storage_offset"), {"as_int": 2**50})),
    "pickled weights": (UnsupportedOp, CONFIG, edited(("config", "weight", "use_pickle"), True)),
    "unknown type": (UnsupportedOp, CONFIG, edited((*META, "dtype"), 99)),
    "unknown operator": (
        UnsupportedOp,
        MODEL,
        edited(("graph_module", "graph", "nodes", 0, "target"), "torch.ops.evil.run"),
    ),
    "no arguments": (MalformedModel, MODEL, edited(("graph_module", "graph", "nodes", 0, "inputs"), [])),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_archive_is_refused(name: str) -> None:
    kind, file, change = HOSTILE[name]
    data = changed(exported(nn.Linear(3, 2), torch.randn(1, 3)), file, change)
    with pytest.raises(kind):
        import_pytorch(data, "hostile")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_cut_archive_is_refused(share: float) -> None:
    """Where the end is missing, zip finds the pickled samples inside, an archive of their own, or nothing."""
    data = exported(nn.Linear(3, 2), torch.randn(1, 3))
    with pytest.raises((MalformedModel, UnsupportedOp)):
        import_pytorch(data[: int(len(data) * share)], "cut")


def test_damaged_bytes_never_crash() -> None:
    data = exported(nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU()), torch.randn(1, 2, 5, 5))
    rng = np.random.default_rng(0)
    for _ in range(150):
        mutant = bytearray(data)
        for place in rng.integers(0, len(mutant), int(rng.integers(1, 20))):
            mutant[place] = int(rng.integers(256))
        with contextlib.suppress(MalformedModel, UnsupportedOp):
            import_pytorch(bytes(mutant), "mutant")


def test_module_is_compiled_from_python(tmp_path: Path) -> None:
    """So far up to quantization, which a float module needs first; its training mode stays as it was."""
    module = Network().train()
    with pytest.raises(UnsupportedOp, match="--quantize"):
        thimble.compile(module, "stm32l4r5zi", tmp_path / "out", example_inputs=(torch.randn(1, 3, 16, 16),))
    assert module.training


def test_exported_program_is_quantized_compiled_and_verified(tmp_path: Path) -> None:
    """From a .pt2 file to firmware whose bytes are the reference's; images keep PyTorch's order in the data."""
    torch.manual_seed(5)
    module, images = Network(), torch.randn(40, 3, 16, 16)
    model, calibration, data = tmp_path / "net.pt2", tmp_path / "c.npz", tmp_path / "d.npz"
    model.write_bytes(exported(module, images[:1]))
    np.savez(calibration, x=images.numpy())
    with torch.no_grad():
        labels = torch.cat([module.eval()(image[None]) for image in images]).argmax(1)
    np.savez(data, x=images.numpy(), y=labels.numpy())
    options = QuantizeOptions(Method.FAST, calibration, data)
    report = thimble.compile(model, "stm32l4r5zi", tmp_path / "out", quantize=options)
    assert report["quantization"]["accuracy"]["float"] == 100
    assert report["quantization"]["accuracy"]["integers"] >= 80
    assert all(row["sqnr_db"] is None or row["sqnr_db"] > 10 for row in report["quantization"]["layers"])
    verified = thimble.verify(tmp_path / "out", data=data, samples=4)["verify"]
    assert verified["mismatched_values"] == 0
    assert {row["runtime"] for row in verified["runtimes"]} >= {"host", "target"}
