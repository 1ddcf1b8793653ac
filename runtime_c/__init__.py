"""The portable C99 kernels, as texts to copy into a generated project."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

KERNELS_DIR = Path(__file__).parent / "kernels"


def kernel_files(kernels: Iterable[str], headers: Iterable[str] = ()) -> dict[str, str]:
    """File name -> text of each kernel's C and header file, of `headers`, and of every header included in turn."""
    waiting = [*headers]
    waiting += [name for kernel in kernels for name in (f"thimble_{kernel}.c", f"thimble_{kernel}.h")]
    files: dict[str, str] = {}
    while waiting:
        name = waiting.pop()
        if name not in files:
            files[name] = (KERNELS_DIR / name).read_text(encoding="utf-8")
            waiting += re.findall(r'#include "(thimble_\w+\.h)"', files[name])
    return dict(sorted(files.items()))
