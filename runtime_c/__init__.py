"""The kernels of the runtime, portable C99 and families of cores, as texts to copy into a generated project."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

KERNELS_DIR = Path(__file__).parent / "kernels"
FAMILY_DIRS = tuple(Path(__file__).parent / family for family in ("armv7em", "armv81m", "scalar"))
"""Kernels of one instruction set each, with a portable twin inside."""


def kernel_files(
    kernels: Iterable[str], headers: Iterable[str] = (), generated: Mapping[str, str] | None = None
) -> dict[str, str]:
    """File name -> text of each kernel's C and header file, of `headers`, and of every header included in turn.

    `generated` are files by name that belong to no folder; they are returned too, with what they include.
    """
    files: dict[str, str] = {}
    texts = dict(generated or {})
    waiting = [*headers, *texts]
    waiting += [name for kernel in kernels for name in (f"thimble_{kernel}.c", f"thimble_{kernel}.h")]
    while waiting:
        name = waiting.pop()
        if name not in files:
            files[name] = texts[name] if name in texts else _read(name)
            waiting += re.findall(r'#include "(thimble_\w+\.h)"', files[name])
    return dict(sorted(files.items()))


def _read(name: str) -> str:
    path = next((folder / name for folder in FAMILY_DIRS if (folder / name).is_file()), KERNELS_DIR / name)
    return path.read_text(encoding="utf-8")
