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

from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MalformedModel, UsageError
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.support import check_supported
from thimble.compiler.passes.pipeline import choose_passes, run_passes
from thimble.compiler.plan.order import reorder
from thimble.targets.model import Target, load_target

MODEL_FILE = "model.tflite"
FLOAT_FILE = "float_model"
"""The model that was quantized, with its own suffix; in builds that were quantized."""

REPORT_FILE = "report.json"
MAX_MODEL_BYTES = 1 << 28


@dataclass(frozen=True, slots=True)
class Build:
    """An existing build folder, opened: `report` is the contents of its report.json."""

    folder: Path
    report: dict[str, Any]
    model: bytes
    graph: Graph
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


def read_model(path: Path, disabled_passes: Collection[str] = ()) -> tuple[bytes, Graph]:
    """A model file and its graph, all passes but the disabled ones done.

    Raises UsageError, MalformedModel or UnsupportedOp.
    """
    data = read_file(path)
    return data, graph_of(data, path, disabled_passes)


def read_file(path: Path) -> bytes:
    """The bytes of a model file. Raises UsageError where there is none, MalformedModel where it is too large."""
    if not path.is_file():
        raise UsageError(f"{path}: there is no such file.")
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise MalformedModel(f"{path} is larger than {MAX_MODEL_BYTES >> 20} MiB; no microcontroller holds it.")
    return path.read_bytes()


def graph_of(data: bytes, path: Path, disabled_passes: Collection[str] = ()) -> Graph:
    """The graph of a model's bytes, all passes but the disabled ones done; `path` tells the format and the name."""
    graph = import_model(data, path)
    check_supported(graph)
    return optimize(graph, disabled_passes)


def optimize(graph: Graph, disabled_passes: Collection[str] = ()) -> Graph:
    """The graph after all passes but the disabled ones, its nodes in the order of least memory."""
    return reorder(run_passes(graph, choose_passes(disabled_passes)))


def import_model(data: bytes, path: Path) -> Graph:
    """The graph of a model's bytes as the file has it; `path` tells the format and the name."""
    if path.suffix.lower() != ".tflite":
        raise UsageError(f"{path}: only .tflite models are taken so far; this is a '{path.suffix}' file.")
    return import_tflite(data, path.stem)


def keep_float_model(folder: Path, report: dict[str, Any], data: bytes, path: Path) -> None:
    """Lay the float model that was quantized into the build folder and name it in the report."""
    file = FLOAT_FILE + path.suffix.lower()
    (folder / file).write_bytes(data)
    report["model"]["source_format"] = path.suffix.lower().removeprefix(".")
    report["model"]["float_model"] = {"file": file, "sha256": hashlib.sha256(data).hexdigest()}


def float_graph(build: Build) -> Graph | None:
    """The float graph that a build was quantized from; None for a build of an integer model."""
    kept = build.report["model"].get("float_model")
    if kept is None:
        return None
    path = build.folder / str(kept["file"])
    data = read_file(path)
    if path.parent != build.folder or hashlib.sha256(data).hexdigest() != kept["sha256"]:
        raise UsageError(f"{path} is not the model that was quantized; compile again.")
    return import_model(data, path)


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
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder} holds an incomplete build ({error}); compile again.") from error
    graph = graph_of(model, Path(f"{report['model']['name']}.tflite"), disabled)
    return Build(folder, report, model, graph, load_target(target), name, rounding)


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
    temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    os.replace(temporary, folder / REPORT_FILE)


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
