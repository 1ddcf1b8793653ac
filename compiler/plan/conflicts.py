"""Which bodies must keep apart, and how far: the offsets between two bodies at which parts of theirs would overlap."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.requests import Request, Slide

Conflict = tuple[int, int, int]
"""(other, low, high): a body must not begin strictly between `low` and `high` bytes behind the start of `other`."""


def find_conflicts(requests: Sequence[Request], slides: Sequence[Slide]) -> list[list[Conflict]]:
    """For each request its conflicts, in the order of the others."""
    count = len(requests)
    a, b, low, high = _pairs(requests, slides)
    table = np.concatenate([np.stack([a, b, low, high]), np.stack([b, a, -high, -low])], axis=1)
    table = table[:, np.lexsort((table[2], table[1], table[0]))]
    entries = zip(*table[1:].tolist(), strict=True)
    ends = np.searchsorted(table[0], np.arange(1, count + 1)).tolist()
    rigid = all(len(r.parts) == 1 for r in requests)
    found: list[list[Conflict]] = []
    start = 0
    for end in ends:
        mine: list[Conflict] = [next(entries) for _ in range(end - start)]
        found.append(mine if rigid else _merged(mine))
        start = end
    return found


def _pairs(requests: Sequence[Request], slides: Sequence[Slide]) -> tuple[Array, Array, Array, Array]:
    """For each two parts of two bodies that are live together: the bodies, and the open range of the first's start.

    The range counts from the start of the second body; it is left out where it is empty.
    """
    parts = sorted((p.first, p.last, p.offset, p.bytes, i) for i, r in enumerate(requests) for p in r.parts)
    firsts, lasts, offsets, sizes, bodies = np.array(parts, np.int64).T
    index = np.arange(len(parts))
    behind = np.searchsorted(firsts, lasts, side="right") - index - 1  # parts that begin later, while this one lives
    one = np.repeat(index, behind)
    other = np.arange(len(one)) - np.repeat(np.cumsum(behind) - behind, behind) + one + 1
    apart = bodies[one] != bodies[other]
    one, other = one[apart], other[apart]
    a, b = bodies[one], bodies[other]
    shift = offsets[other] - offsets[one]
    low, high = shift - sizes[one], shift + sizes[other]
    if slides:
        distances = {slide.over * len(requests) + slide.under: slide.distance for slide in slides}
        for over, under, a_over in ((one, other, True), (other, one, False)):
            keys = bodies[over] * len(requests) + bodies[under]
            for at in np.flatnonzero(np.isin(keys, list(distances)) & (firsts[over] == lasts[under])):
                # `over` in front of `under` needs no more than the distance.
                distance = distances[int(keys[at])]
                if a_over:
                    low[at] = -distance
                else:
                    high[at] = distance
    real = low < high
    return a[real], b[real], low[real], high[real]


def _merged(conflicts: Iterable[Conflict]) -> list[Conflict]:
    """The same ranges, those that overlap made one; they come sorted."""
    merged: list[Conflict] = []
    for other, low, high in conflicts:
        if merged and merged[-1][0] == other and low < merged[-1][2]:
            merged[-1] = (other, merged[-1][1], max(high, merged[-1][2]))
        else:
            merged.append((other, low, high))
    return merged
