"""What `--tune` measured, kept in files: one that ships with Thimble, and the user's own."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from thimble import codegen, runtime_c, targets
from thimble.codegen.candidates import family_of
from thimble.codegen.tuned import Measured, TunedKernels
from thimble.compiler.ir.errors import ToolMissing
from thimble.targets import tools
from thimble.targets.model import Target
from thimble.targets.sim.cache import cache_dir

SHIPPED = Path(codegen.__file__).parent / "tuned_kernels.json"
GENERATORS = ("*.py", "*.j2", "*.c", "*.h")

Layers = Mapping[str, tuple[Measured, ...]]


def user_file() -> Path:
    """The user's own measurements."""
    return cache_dir() / "tuned_kernels.json"


def context(target: Target) -> str:
    """What measurements hold for: the chip, its timing, the compiler, and the generators of kernels."""
    family = family_of(target)
    kernels = "none" if family is None else _generators_digest(family.folder)
    compiler, timing = _compiler_version(target), _timing_digest(target)
    return f"{target.name} gcc-{compiler} kernels-{kernels} timing-{timing}"


@cache
def _compiler_version(target: Target) -> str:
    program = tools.require(f"{target.compiler_prefix}gcc")
    run = subprocess.run([str(program), "-dumpfullversion"], capture_output=True, text=True, check=False)
    if run.returncode != 0:
        raise ToolMissing(f"{program} does not tell its version.")
    return run.stdout.strip()


@cache
def _generators_digest(family: str) -> str:
    """Of all files that the kernels of a family are made from: other files may make other kernels."""
    made, run = Path(codegen.__file__).parent, Path(runtime_c.__file__).parent
    folders = (made / family, made / "kernel_tools", run / family)
    own = [path for folder in folders for pattern in GENERATORS for path in folder.rglob(pattern)]
    return _digest([*own, made / "variants.py", *(run / "kernels").glob("*.h")])


def _timing_digest(target: Target) -> str:
    """Of the files that say how fast a chip is."""
    house = Path(targets.__file__).parent
    timing = house / "sim" / "arm_timing"
    model = [*(timing / "cores").glob("*.toml"), *(timing / "plugin").glob("*.[chd]*")]
    return _digest([house / "chips" / f"{target.name}.toml", *model])


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


def load(file: Path, where: str) -> dict[str, tuple[Measured, ...]]:
    """The layers that a file holds for a context; none where the file is absent or no file of ours."""
    found = read_tables(file).get(where, {})
    try:
        return {key: tuple(map(Measured.of_row, kernels)) for key, kernels in found.items()}
    except (AttributeError, TypeError, ValueError):
        return {}


def save(file: Path, where: str, layers: Layers) -> None:
    """Add layers to a file, in one step. Measurements for older kernels or compilers of the same chip are dropped.

    Raises OSError where the file cannot be written.
    """
    chip = where.split(" ", 1)[0] + " "
    with locked(file):
        content = {key: value for key, value in read_tables(file).items() if not key.startswith(chip) or key == where}
        content[where] = dict(content.get(where, {})) | TunedKernels(layers).rows
        write_text(file, _text(content))


@contextmanager
def locked(file: Path) -> Iterator[None]:
    """One run at a time adds to the files of a folder, which is made: so none loses what another has added."""
    file.parent.mkdir(parents=True, exist_ok=True)
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def as_far_as_possible(say: Callable[[str], None]) -> Iterator[None]:
    """Around what keeps measurements: where the cache cannot be written, say so and go on."""
    try:
        yield
    except OSError as error:
        say(f"What was measured is not kept: {error.filename or cache_dir()}: {error.strerror}")


def write_text(file: Path, text: str) -> None:
    """Write a file in one step, its folder too where there is none; nothing stays of what could not be written."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
        os.chmod(name, 0o644)
        os.replace(name, file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def read_tables(file: Path) -> dict[str, Any]:
    """The tables of a JSON file by their names; none where the file is absent or no file of ours."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) and all(isinstance(value, dict) for value in content.values()) else {}


def _text(content: Mapping[str, Mapping[str, Any]]) -> str:
    """JSON with a line for each layer, in order, so that changes can be read."""
    blocks = []
    for where in sorted(content):
        lines = [f"  {json.dumps(key)}: {json.dumps(content[where][key])}" for key in sorted(content[where])]
        blocks.append(f" {json.dumps(where)}: {{\n" + ",\n".join(lines) + "\n }")
    return "{\n" + ",\n".join(blocks) + "\n}\n"
