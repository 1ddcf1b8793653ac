"""What start-up code copies to RAM: constants that are read much, and code."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from thimble.codegen.lowered import ConstantArray

ALIGNMENT_BYTES = 8
"""Constants are counted with what aligning the next one may take."""


@dataclass(frozen=True, slots=True)
class RamPlaces:
    """Constants by name and C files whose code is copied to RAM before main.

    With `most_read_bytes`, those constants too of which most bytes are read for each byte that they take.
    """

    constants: frozenset[str] = frozenset()
    sources: frozenset[str] = frozenset()
    most_read_bytes: int = 0

    def mark(self, constants: Iterable[ConstantArray]) -> tuple[ConstantArray, ...]:
        """The constants, those marked that lie in RAM."""
        arrays = tuple(constants)
        chosen, left = set(self.constants), self.most_read_bytes
        for array in sorted(arrays, key=lambda a: (-a.reads / max(a.bytes, 1), a.name)):
            taken = aligned(array.bytes)
            if array.bytes > 0 and taken <= left and array.reads and array.name not in chosen:
                chosen.add(array.name)
                left -= taken
        return tuple(replace(array, fast=array.name in chosen and array.bytes > 0) for array in arrays)


ALL_IN_FLASH = RamPlaces()


def aligned(size_bytes: int) -> int:
    """Bytes that a constant takes of RAM."""
    return -(-size_bytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
