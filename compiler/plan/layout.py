"""Offsets for buffers of known size and lifetime: the dynamic storage allocation problem.

First the simple orders: take the buffers in some order, put each where it touches no buffer already placed that is
live at the same time, at the lowest offset or in the tightest gap. Where the best of them is above the bound of live
bytes, orders close to it are tried, then skyline.py; exact_layout.py does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random
from sys import maxsize

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.conflicts import Conflict, find_conflicts
from thimble.compiler.plan.live_bytes import LiveBytes
from thimble.compiler.plan.requests import Part, Request, Slide, arena_bytes
from thimble.compiler.plan.skyline import Skyline

__all__ = ["Part", "Request", "Slide", "arena_bytes", "lower_bound", "place"]

HILL_CLIMBS = 400
"""Orders tried close to the best one, at most."""

HILL_CLIMB_WORK = 1_000_000
"""Conflicts looked at in all hill climbs at an effort of 1: about half a second."""

SIMPLE_WORK = 20_000_000
"""Conflicts looked at in the simple orders, of which at least two are tried: some ten seconds."""

SKYLINE_WORK = 60_000
"""Requests placed by the skyline at an effort of 1: about two seconds."""

SKYLINE_ROUNDS = 200
"""Times that it may place each of them: few requests are left to the exact search, which is better with them."""


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


def place(requests: Sequence[Request], slides: Sequence[Slide] = (), effort: float = 1.0) -> tuple[int, ...]:
    """An offset for each request, such that no two that are live together overlap, but for what slides allow.

    The same for the same input and effort on every machine; an effort of 0 tries the simple orders alone. At 1 it
    takes about three seconds where the bound is not reached.
    """
    if not requests:
        return ()
    conflicts = find_conflicts(requests, slides)
    bound = lower_bound(requests, slides)
    best = _first_fits(requests, conflicts, bound, effort)
    if best[0] > bound and effort > 0:
        skyline = Skyline(requests, conflicts)
        work = min(SKYLINE_WORK, SKYLINE_ROUNDS * len(requests))
        found = skyline.search(bound, best[0], int(work * effort))
        if found is not None:
            return found
    return tuple(best[2])


_Attempt = tuple[int, list[int], list[int]]
"""Arena bytes, order of placement, offsets."""


def _first_fits(
    requests: Sequence[Request], conflicts: Sequence[Sequence[Conflict]], bound: int, effort: float
) -> _Attempt:
    """The best placement one by one, in simple orders and in some that are close to the best of these."""
    greedy = _Greedy(requests, conflicts)
    best: _Attempt | None = None
    for attempt in greedy.attempts(int(HILL_CLIMB_WORK * effort)):
        best = attempt if best is None or attempt[0] < best[0] else best
        if best[0] <= bound:
            break
    assert best is not None
    return best


class _Greedy:
    """Placement one by one."""

    def __init__(self, requests: Sequence[Request], conflicts: Sequence[Sequence[Conflict]]) -> None:
        self._requests = requests
        self._sizes = [r.bytes for r in requests]
        self._alignments = [r.alignment for r in requests]
        self._conflicts = conflicts

    def attempts(self, work: int) -> Iterator[_Attempt]:
        """Placements, each at least as good as those before; hill climbs look at no more than `work` conflicts."""
        indices = range(len(self._requests))
        best, most, tight = None, maxsize, False
        live = LiveBytes(self._requests)
        fullest = live.most(live.bytes, np.array(indices)).tolist()
        each = sum(map(len, self._conflicts)) + len(self._requests)
        for key in _ORDERS[: max(SIMPLE_WORK // (2 * each), 1)]:
            order = sorted(indices, key=lambda i: (key(self._requests[i], fullest[i]), i))
            for tightest in (False, True):
                attempt = self._place(order, tightest, most)
                if attempt is not None:
                    best, most, tight = attempt, attempt[0] - 1, tightest
                    yield attempt
        assert best is not None
        random = Random(0)
        for _ in range(min(HILL_CLIMBS, work // each)):
            order, unchanged = self._neighbour(best, random)
            known = [] if tight else [best[2][i] for i in order[:unchanged]]
            attempt = self._place(order, False, best[0], known)
            if attempt is not None:
                best, tight = attempt, False
                yield attempt

    def _neighbour(self, best: _Attempt, random: Random) -> tuple[list[int], int]:
        """The order with one buffer that ends highest, or one that it meets, moved to an earlier turn; that turn."""
        size, order, offsets = best
        top = next(i for i in order if offsets[i] + self._sizes[i] == size)
        moved = random.choice([top, *(conflict[0] for conflict in self._conflicts[top])])
        turn = order.index(moved)
        rest = order[:turn] + order[turn + 1 :]
        at = random.randrange(turn + 1)
        return [*rest[:at], moved, *rest[at:]], at

    def _place(self, order: list[int], tightest: bool, most: int, known: Sequence[int] = ()) -> _Attempt | None:
        """A placement in no more than `most` bytes, or None; the offsets of the first few may be `known`."""
        offsets = [-1] * len(self._requests)
        for i, offset in zip(order, known, strict=False):
            offsets[i] = offset
        for i in order[len(known) :]:
            # Offsets strictly between the two ends of a pair would touch what is there.
            taken = [(offsets[j] + low, offsets[j] + high) for j, low, high in self._conflicts[i] if offsets[j] >= 0]
            taken.sort()
            offsets[i] = _choose(taken, self._alignments[i], tightest)
            if offsets[i] + self._sizes[i] > most:
                return None
        return max(map(int.__add__, offsets, self._sizes)), order, offsets


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
