"""The build folder: what `compile` leaves there for the other verbs, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thimble.codegen.kernels import KernelFamily, KernelSettings, choose_kernels
from thimble.codegen.tuned import TunedKernels
from thimble.compiler.driver.options import Io, is_compact
from thimble.compiler.driver.planning import with_fused_additions, with_fused_depthwise
from thimble.compiler.importers.onnx import import_onnx, self_contained
from thimble.compiler.importers.pytorch import import_pytorch
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp, UsageError, quoted
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.passes.float_pipeline import prepare
from thimble.compiler.passes.integer_interface import Interface, keep_interface, move_conversions_out
from thimble.compiler.passes.pipeline import REMOVE_DEAD, choose_passes, run_passes
from thimble.compiler.plan.kernels import KernelLimit
from thimble.compiler.plan.options import Objective
from thimble.compiler.plan.order import reorder
from thimble.targets.model import Target, load_target

FLOAT_FILE = "float_model"
"""The model that was quantized, with its own suffix; in builds that were quantized."""

MODEL_FILE = "model"
"""The model's copy in a build folder, before the suffix of its format."""
FORMATS = ("tflite", "onnx", "pt2")
PICKLED = ("pt", "pth", "pkl", "ckpt")
REPORT_FILE = "report.json"
MAX_MODEL_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Build:
    """An existing build folder, opened: `report` is the contents of its report.json.

    `interface` leads from the model's own inputs and outputs to those of `graph`, which are the firmware's.
    `float_graph` is the model that the build was quantized from, where it was.
    """

    folder: Path
    report: dict[str, Any]
    model: bytes
    graph: Graph
    interface: Interface
    target: Target
    name: str
    rounding: Rounding
    source_format: str = "tflite"
    float_graph: Graph | None = None

    @property
    def sim_elf(self) -> Path:
        """The firmware linked for the simulator."""
        return self.folder / "build" / f"{self.name}_sim.elf"

    @property
    def chip_elf(self) -> Path:
        """The firmware linked for the chip."""
        return self.folder / "build" / f"{self.name}.elf"


def read_file(path: Path) -> bytes:
    """The bytes of a model file. Raises UsageError where there is none, MalformedModel where it is too large."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file.")
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise MalformedModel(f"{path} is larger than {MAX_MODEL_BYTES >> 20} MiB; no microcontroller holds it.")
    return path.read_bytes()


def source_format(path: Path) -> str:
    """The format of a model file: one of FORMATS. Raises UsageError for any other suffix."""
    suffix = path.suffix.lower().removeprefix(".")
    if suffix in PICKLED:
        raise UnsupportedOp(
            f"{path} is a pickled file, and unpickling runs code; "
            "save the model with torch.export.save(torch.export.export(module, inputs), 'model.pt2')."
        )
    if suffix not in FORMATS:
        raise UsageError(f"{path}: only .tflite, .onnx and .pt2 models are taken; this is a '{path.suffix}' file.")
    return suffix


def optimize(graph: Graph, disabled_passes: Collection[str] = (), io: Io = Io.MODEL) -> tuple[Graph, Interface]:
    """The graph after all passes but the disabled ones, its nodes in the order of least memory, and its interface.

    Raises UsageError where real numbers stay at the borders though integers are asked for.
    """
    graph = run_passes(graph, choose_passes(disabled_passes))
    interface = keep_interface(graph)
    if io is Io.INT8:
        graph, interface = move_conversions_out(graph)
        graph = run_passes(graph, (REMOVE_DEAD,))
        _check_integers(graph)
    return reorder(graph), interface


def _check_integers(graph: Graph) -> None:
    for kind, reader, values in (("input", "QUANTIZE", graph.inputs), ("output", "DEQUANTIZE", graph.outputs)):
        for value in (graph.values[i] for i in values):
            if value.type.dtype is DType.FLOAT32:
                raise UsageError(
                    f"--io int8 cannot be had: {kind} {quoted(value.name)} is float32 and does not lie at a "
                    f"{reader} that could move into the interface."
                )


def import_model(data: bytes, path: Path, input_shapes: Mapping[str, Shape] | None = None) -> Graph:
    """The graph of a model's bytes, float operators folded; `path` tells the format, the name and the folder.

    `input_shapes` gives inputs of an ONNX model with dynamic dimensions their shape.
    """
    if source_format(path) == "onnx":
        return prepare(import_onnx(data, path.stem, path.parent, input_shapes))
    if input_shapes:
        raise UsageError("--input-shape is for ONNX models; the shapes of other models are fixed.")
    if source_format(path) == "pt2":
        return prepare(import_pytorch(data, path.stem))
    return prepare(import_tflite(data, path.stem))


def stored_model(data: bytes, path: Path) -> bytes:
    """The model as a build folder keeps it: one file that needs no other."""
    return self_contained(data, path.parent) if source_format(path) == "onnx" else data


def keep_float_model(folder: Path, report: dict[str, Any], data: bytes, path: Path) -> None:
    """Lay the float model that was quantized into the build folder and name it in the report."""
    kind = source_format(path)
    file = f"{FLOAT_FILE}.{kind}"
    (folder / file).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    report["model"]["float_model"] = {"file": file, "source_format": kind, "sha256": sha256}


def integers_of(data: bytes, float_graph: Graph) -> Graph:
    """The graph of a quantized model's file, its inputs and outputs in the order that the float model's user knows."""
    graph = import_tflite(data, float_graph.name)
    values = list(graph.values)
    pairs = zip((*graph.inputs, *graph.outputs), (*float_graph.inputs, *float_graph.outputs), strict=True)
    for index, source in pairs:
        values[index] = replace(values[index], source_order=float_graph.values[source].source_order)
    return replace(graph, values=tuple(values))


def _float_graph(folder: Path, report: Mapping[str, Any], shapes: Mapping[str, Shape]) -> Graph | None:
    """The float graph that a build was quantized from; None for a build of an integer model."""
    kept = report["model"].get("float_model")
    if kept is None:
        return None
    if kept["source_format"] not in FORMATS:
        raise ValueError(f"its float model is a '{kept['source_format']}' file")
    path = folder / f"{FLOAT_FILE}.{kept['source_format']}"
    data = path.read_bytes()
    if hashlib.sha256(data).hexdigest() != kept["sha256"]:
        raise UsageError(f"{path} is not the model that was quantized; compile again.")
    return import_model(data, path, shapes)


def open_build(folder: Path) -> Build:
    """Open what `thimble compile` made. Raises UsageError where it is no build folder."""
    report = read_report(folder)
    if report is None:
        raise UsageError(f"{folder} is no build folder: run `thimble compile MODEL -t TARGET -o {folder}` first.")
    try:
        kind = report["model"]["source_format"]
        if kind not in FORMATS:
            raise ValueError(f"its model is a '{kind}' file")
        file = folder / f"{MODEL_FILE}.{kind}"
        model = file.read_bytes()
        if hashlib.sha256(model).hexdigest() != report["model"]["sha256"]:
            raise UsageError(f"{file} is not the model that was compiled; compile again.")
        name, target = report["build"]["name"], report["target"]["name"]
        rounding = Rounding(report["build"]["rounding"])
        disabled = tuple(report["build"]["disabled_passes"])
        io, family = Io(report["build"]["io"]), KernelFamily(report["build"]["kernels"])
        shapes = {name: tuple(shape) for name, shape in report["build"]["input_shapes"].items()}
        limits = [KernelLimit(int(bytes), bool(apart)) for bytes, apart in report["build"]["kernel_limits"]]
        winograd = int(report["build"]["winograd_bytes"])
        fused = bool(report["build"]["additions_fused"])
        depthwise = tuple(int(position) for position in report["build"]["depthwise_fused"])
        compact = is_compact(Objective(report["build"]["objective"]))
        tuned = TunedKernels.of_rows(report["build"]["tuned"])
        settings = KernelSettings(family if limits else KernelFamily.C, winograd, compact, tuned)
        float_graph = _float_graph(folder, report, shapes)
    except KeyError as error:
        raise UsageError(
            f"{folder} holds a build of another version of Thimble, or an incomplete one: its {REPORT_FILE} has no "
            f"{error}; compile again."
        ) from error
    except (OSError, AttributeError, TypeError, ValueError) as error:
        raise UsageError(f"{folder} holds an incomplete build ({error}); compile again.") from error
    if float_graph is None:
        source = import_model(model, folder / f"{report['model']['name']}.{kind}", shapes)
    else:
        source = replace(integers_of(model, float_graph), name=report["model"]["name"])
    graph, interface = optimize(source, disabled, io)
    graph = with_fused_depthwise(with_fused_additions(graph) if fused else graph, depthwise)
    chip = load_target(target)
    if limits and len(limits) != len(graph.nodes):
        raise UsageError(f"{folder} holds an incomplete build (limits for kernels of other layers); compile again.")
    graph = choose_kernels(graph, chip, settings, limits)
    return Build(folder, report, model, graph, interface, chip, name, rounding, kind, float_graph)


def read_report(folder: Path) -> dict[str, Any] | None:
    """report.json of a build folder, or None where there is none of ours."""
    try:
        report = json.loads((folder / REPORT_FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return report if isinstance(report, dict) and "schema" in report else None


def write_report(folder: Path, report: Mapping[str, Any]) -> None:
    """Write report.json in one step, so that a stopped run never leaves half of it."""
    temporary = folder / f".{REPORT_FILE}.tmp"
    temporary.write_text(to_json(report) + "\n", encoding="utf-8")
    os.replace(temporary, folder / REPORT_FILE)


def to_json(value: Any, indent: str = "") -> str:
    """JSON that one can read: what holds no further lists or objects stands in one line."""
    items = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    if not any(isinstance(item, Mapping | list) and item for item in items):
        return json.dumps(value)
    deeper = indent + "  "
    if isinstance(value, Mapping):
        lines = [f"{json.dumps(str(key))}: {to_json(item, deeper)}" for key, item in value.items()]
        return "{\n" + ",\n".join(deeper + line for line in lines) + f"\n{indent}}}"
    return "[\n" + ",\n".join(deeper + to_json(item, deeper) for item in value) + f"\n{indent}]"


@contextmanager
def new_build_folder(folder: Path) -> Iterator[Path]:
    """A fresh folder that takes the place of `folder` when the block ends well, and is removed when it does not.

    Raises UsageError where `folder` exists and is neither empty nor an earlier build: nothing of others is deleted.
    """
    folder = Path(os.path.abspath(folder))
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and read_report(folder) is None)):
        raise UsageError(f"{folder} exists and is no earlier build of Thimble; give an empty or a new folder.")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror}.") from error
    try:
        yield temporary
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def empty_folder(folder: Path) -> None:
    """Remove everything in a folder."""
    for path in folder.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
