"""Offsets for buffers of known size and lifetime: the dynamic storage allocation problem.

First the simple orders: take the buffers in some order, put each where it touches no buffer already placed that is
live at the same time, at the lowest offset or in the tightest gap. Where the best of them is above the bound of live
bytes, ejection.py makes it smaller; exact_layout.py does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import maxsize

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.conflicts import Conflict, find_conflicts
from thimble.compiler.plan.ejection import Ejection
from thimble.compiler.plan.live_bytes import LiveBytes
from thimble.compiler.plan.requests import Part, Request, Slide, arena_bytes

__all__ = ["Part", "Request", "Slide", "arena_bytes", "lower_bound", "place"]

SIMPLE_WORK = 20_000_000
"""Conflicts looked at in the simple orders, of which at least two are tried: some ten seconds."""

EJECTION_WORK = 25_000
"""Bodies put elsewhere at an effort of 1: about half a second."""


_Key = Callable[[Request, int], tuple[int, ...]]

_ORDERS: tuple[_Key, ...] = (
    lambda r, _: (-r.bytes, r.first),
    lambda r, _: (-(r.last - r.first), -r.bytes),
    lambda r, _: (-r.bytes * (r.last - r.first + 1), r.first),
    lambda r, _: (r.first, -r.bytes),
    lambda r, _: (-r.last, -r.bytes),
    lambda r, _: (-r.bytes, -(r.last - r.first)),
    lambda r, _: (-r.bytes, -r.first),
    lambda r, fullest: (-fullest, -r.bytes, r.first),
    lambda r, fullest: (-fullest, r.first),
    lambda r, fullest: (-fullest, r.first - r.last, -r.bytes),
    lambda r, fullest: (-fullest, -r.last),
)
"""The simple orders, from a request and the most bytes that are live at a step of its life (greedy by breadth)."""


def lower_bound(requests: Sequence[Request], slides: Sequence[Slide] = ()) -> int:
    """No placement is smaller: the most bytes live at one step, less what slides may save there."""
    if not requests:
        return 0
    _, least, _ = step_bounds(requests, slides)
    return int(max(least.max(), *(r.bytes for r in requests)))


def step_bounds(requests: Sequence[Request], slides: Sequence[Slide]) -> tuple[Array, Array, Array]:
    """The steps at which something begins, the bytes that no placement takes less than there, and of these the bytes
    that slides saved.

    All but the topmost buffer of a step end where another may begin, at a multiple of the alignment; within a body of
    several parts, nothing is known of that, and where something slides, it does not count.
    """
    live = LiveBytes(requests)
    unit = int(np.gcd.reduce([r.alignment for r in requests]))
    slacks = np.array([-p.bytes % unit if len(r.parts) == 1 else 0 for r in requests for p in r.parts])
    largest = np.zeros(len(live.steps), np.int64)
    for slack in sorted(set(slacks.tolist()) - {0}):
        largest[live.sum(slacks == slack) > 0] = slack
    padding = live.sum(slacks) - largest
    saved = np.zeros(len(live.steps), np.int64)
    for step, amount in _saved_by_slides(requests, slides, unit).items():
        at = np.searchsorted(live.steps, step)
        saved[at], padding[at] = amount, 0
    return live.steps, live.bytes + padding - saved, saved


def _saved_by_slides(requests: Sequence[Request], slides: Sequence[Slide], unit: int) -> dict[int, int]:
    """For each step at which something may slide, the most bytes that two buffers may share there."""
    shared: dict[tuple[int, int], int] = {}
    for slide in slides:
        distance = -(-slide.distance // unit) * unit
        over, under = requests[slide.over], requests[slide.under]
        size = most_shared(over.bytes, under.bytes, distance)
        for step in {p.first for p in over.parts} & {p.last for p in under.parts}:
            shared[slide.over, step] = shared.get((slide.over, step), 0) + size
    saved: dict[int, int] = {}
    for (over_index, step), size in shared.items():
        born = sum(p.bytes for p in requests[over_index].parts if p.first == step)
        saved[step] = saved.get(step, 0) + min(size, born)
    return saved


def most_shared(over: int, under: int, distance: int) -> int:
    """The most bytes that two buffers of these sizes can have in common under a slide."""
    return max(min(over, under, over - distance), 0)


def place(
    requests: Sequence[Request],
    slides: Sequence[Slide] = (),
    effort: float = 1.0,
    start: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """An offset for each request, such that no two that are live together overlap, but for what slides allow.

    The same for the same input and effort on every machine; an effort of 0 tries the simple orders alone. At 1 it
    takes about a second where the bound is not reached. `start` is what an effort of 0 gave, if it is known.
    """
    if not requests:
        return ()
    conflicts = find_conflicts(requests, slides)
    bound = lower_bound(requests, slides)
    offsets = _first_fits(requests, conflicts, bound) if start is None else tuple(start)
    if effort > 0 and arena_bytes(requests, offsets) > bound:
        return Ejection(requests, conflicts).search(offsets, bound, int(EJECTION_WORK * effort))
    return offsets


def _first_fits(requests: Sequence[Request], conflicts: Sequence[Sequence[Conflict]], bound: int) -> tuple[int, ...]:
    """The best placement one by one in simple orders."""
    indices = range(len(requests))
    live = LiveBytes(requests)
    fullest = live.most(live.bytes, np.array(indices)).tolist()
    each = sum(map(len, conflicts)) + len(requests)
    best: list[int] = []
    most = maxsize
    for key in _ORDERS[: max(SIMPLE_WORK // (2 * each), 1)]:
        order = sorted(indices, key=lambda i: (key(requests[i], fullest[i]), i))
        for tightest in (False, True):
            offsets = _first_fit(requests, conflicts, order, tightest, most)
            if offsets is not None:
                best, most = offsets, arena_bytes(requests, offsets) - 1
            if most < bound:
                return tuple(best)
    return tuple(best)


def _first_fit(
    requests: Sequence[Request], conflicts: Sequence[Sequence[Conflict]], order: list[int], tightest: bool, most: int
) -> list[int] | None:
    """Offsets one by one in some order, in no more than `most` bytes, or None."""
    offsets = [-1] * len(requests)
    for i in order:
        # Offsets strictly between the two ends of a pair would touch what is there.
        taken = [(at + low, at + high) for j, low, high in conflicts[i] if (at := offsets[j]) >= 0]
        taken.sort()
        offsets[i] = _choose(taken, requests[i].alignment, tightest)
        if offsets[i] + requests[i].bytes > most:
            return None
    return offsets


def _choose(taken: Sequence[tuple[int, int]], alignment: int, tightest: bool) -> int:
    """The lowest multiple of `alignment` in no open interval, or the one with the least room until the next."""
    offset = 0
    best, least = -1, -1
    for start, end in taken:
        if offset <= start:
            if not tightest:
                return offset
            if best < 0 or start - offset < least:
                best, least = offset, start - offset
        if end > offset:
            offset = -(-end // alignment) * alignment
    return best if best >= 0 else offset
