"""Which constants are worth a copy in fast RAM: those of which most bytes are read for each byte that they take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from thimble.codegen.lowered import ConstantArray


def mark_fast(constants: Iterable[ConstantArray], limit_bytes: int) -> tuple[ConstantArray, ...]:
    """The constants, those marked that are read most for their size and together take no more than a limit.

    Each counts with what aligning the next one may take.
    """
    arrays = tuple(constants)
    chosen, left = set(), limit_bytes
    for array in sorted(arrays, key=lambda a: (-a.reads / max(a.bytes, 1), a.name)):
        taken = -(-array.bytes // 8) * 8
        if array.bytes > 0 and taken <= left and array.reads:
            chosen.add(array.name)
            left -= taken
    return tuple(replace(array, fast=array.name in chosen) for array in arrays)
