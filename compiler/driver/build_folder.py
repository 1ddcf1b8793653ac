"""The build folder: what `compile` leaves there for the other verbs, written whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thimble.codegen.kernels import KernelFamily, choose_kernels
from thimble.compiler.driver.options import Io
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MalformedModel, UsageError, quoted
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ir.types import DType
from thimble.compiler.passes.integer_interface import Interface, keep_interface, move_conversions_out
from thimble.compiler.passes.pipeline import REMOVE_DEAD, choose_passes, run_passes
from thimble.compiler.plan.order import reorder
from thimble.targets.model import Target, load_target

MODEL_FILE = "model.tflite"
REPORT_FILE = "report.json"
MAX_MODEL_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Build:
    """An existing build folder, opened: `report` is the contents of its report.json.

    `interface` leads from the model's own inputs and outputs to those of `graph`, which are the firmware's.
    """

    folder: Path
    report: dict[str, Any]
    model: bytes
    graph: Graph
    interface: Interface
    target: Target
    name: str
    rounding: Rounding

    @property
    def sim_elf(self) -> Path:
        """The firmware linked for the simulator."""
        return self.folder / "build" / f"{self.name}_sim.elf"

    @property
    def chip_elf(self) -> Path:
        """The firmware linked for the chip."""
        return self.folder / "build" / f"{self.name}.elf"


def read_model(path: Path, disabled_passes: Collection[str] = (), io: Io = Io.MODEL) -> tuple[bytes, Graph]:
    """A model file and its graph, all passes but the disabled ones done.

    Raises UsageError, MalformedModel or UnsupportedOp.
    """
    data = read_file(path)
    return data, optimize(import_model(data, path), disabled_passes, io)[0]


def read_file(path: Path) -> bytes:
    """The bytes of a model file. Raises UsageError where there is none, MalformedModel where it is too large."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file.")
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise MalformedModel(f"{path} is larger than {MAX_MODEL_BYTES >> 20} MiB; no microcontroller holds it.")
    return path.read_bytes()


def graph_of(data: bytes, path: Path, disabled_passes: Collection[str] = ()) -> Graph:
    """The graph of a model's bytes, all passes but the disabled ones done; `path` tells the format and the name."""
    return optimize(import_model(data, path), disabled_passes)[0]


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


def import_model(data: bytes, path: Path) -> Graph:
    """The graph of a model's bytes as the file has it; `path` tells the format and the name."""
    if path.suffix.lower() != ".tflite":
        raise UsageError(f"{path}: only .tflite models are taken so far; this is a '{path.suffix}' file.")
    return import_tflite(data, path.stem)


def open_build(folder: Path) -> Build:
    """Open what `thimble compile` made. Raises UsageError where it is no build folder."""
    report = read_report(folder)
    if report is None:
        raise UsageError(f"{folder} is no build folder: run `thimble compile MODEL -t TARGET -o {folder}` first.")
    try:
        model = (folder / MODEL_FILE).read_bytes()
        if hashlib.sha256(model).hexdigest() != report["model"]["sha256"]:
            raise UsageError(f"{folder}/{MODEL_FILE} is not the model that was compiled; compile again.")
        name, target = report["build"]["name"], report["target"]["name"]
        rounding = Rounding(report["build"]["rounding"])
        disabled = tuple(report["build"]["disabled_passes"])
        io, family = Io(report["build"]["io"]), KernelFamily(report["build"]["kernels"])
        scratch_limit = report["build"]["scratch_limit_bytes"]
        if scratch_limit is not None and not isinstance(scratch_limit, int):
            raise ValueError(f"scratch_limit_bytes is {scratch_limit!r}")
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder} holds an incomplete build ({error}); compile again.") from error
    graph, interface = optimize(import_model(model, Path(f"{report['model']['name']}.tflite")), disabled, io)
    chip = load_target(target)
    graph = choose_kernels(graph, chip, family, scratch_limit)
    return Build(folder, report, model, graph, interface, chip, name, rounding)


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
