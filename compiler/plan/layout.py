"""Offsets for buffers of known size and lifetime: the dynamic storage allocation problem.

Greedy placement: take the buffers in some order, put each where it touches no buffer already placed that is live at
the same time. Several orders are tried, at the lowest offset and in the tightest gap; where the best of them is above
the bound of live bytes, orders close to it are tried too. exact_layout.py does what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import gcd
from random import Random

HILL_CLIMBS = 400
"""Orders tried close to the best one."""


@dataclass(frozen=True, slots=True)
class Request:
    """A buffer to place: `bytes` at a multiple of `alignment`, live in steps [first, last], both included."""

    first: int
    last: int
    bytes: int
    alignment: int = 4

    def meets(self, other: Request) -> bool:
        """Whether both are live at some step."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True, slots=True)
class Slide:
    """Buffer `over` may lie over buffer `under`, if it begins at least `distance` bytes before it.

    Both are indices of requests; the last step of `under` is the first one of `over`. A negative distance lets `over`
    begin behind the start of `under`.
    """

    over: int
    under: int
    distance: int


_ORDERS: tuple[Callable[[Request], tuple[int, ...]], ...] = (
    lambda r: (-r.bytes, r.first),
    lambda r: (-(r.last - r.first), -r.bytes),
    lambda r: (-r.bytes * (r.last - r.first + 1), r.first),
    lambda r: (r.first, -r.bytes),
    lambda r: (-r.last, -r.bytes),
    lambda r: (-r.bytes, -(r.last - r.first)),
    lambda r: (-r.bytes, -r.first),
)


def lower_bound(requests: Sequence[Request], slides: Sequence[Slide] = ()) -> int:
    """No placement is smaller: the most bytes live at one step, less what slides may save there.

    All but the topmost buffer of a step end where another may begin, at a multiple of the alignment.
    """
    unit = gcd(*(r.alignment for r in requests))
    shared: dict[int, int] = {}
    for slide in slides:
        distance = -(-slide.distance // unit) * unit
        size = most_shared(requests[slide.over].bytes, requests[slide.under].bytes, distance)
        shared[slide.over] = shared.get(slide.over, 0) + size
    saved: dict[int, int] = {}
    for over, size in shared.items():
        step = requests[over].first
        saved[step] = saved.get(step, 0) + min(size, requests[over].bytes)
    best = max((r.bytes for r in requests), default=0)
    for step in {r.first for r in requests}:
        live = [r.bytes for r in requests if r.first <= step <= r.last]
        slack = [] if step in saved else [-size % unit for size in live]
        best = max(best, sum(live) - saved.get(step, 0) + sum(slack) - max(slack, default=0))
    return best


def most_shared(over: int, under: int, distance: int) -> int:
    """The most bytes that two buffers of these sizes can have in common under a slide."""
    return max(min(over, under, over - distance), 0)


def place(requests: Sequence[Request], slides: Sequence[Slide] = ()) -> tuple[int, ...]:
    """An offset for each request, such that no two that are live together overlap, but for what slides allow."""
    greedy = _Greedy(requests, slides)
    bound = lower_bound(requests, slides)
    best: tuple[int, list[int], list[int]] | None = None
    for attempt in greedy.attempts():
        if best is None or attempt[0] < best[0]:
            best = attempt
        if best[0] <= bound:
            break
    return tuple(best[2]) if best is not None else ()


def arena_bytes(requests: Sequence[Request], offsets: Sequence[int]) -> int:
    """Bytes that a placement takes."""
    return max((offset + r.bytes for r, offset in zip(requests, offsets, strict=True)), default=0)


class _Greedy:
    """Placement one by one; an attempt is (arena bytes, order of placement, offsets)."""

    def __init__(self, requests: Sequence[Request], slides: Sequence[Slide]) -> None:
        self._requests = requests
        distances = {(slide.over, slide.under): slide.distance for slide in slides}
        # For each request: the others that it meets, by how much it must begin before them, and they before it.
        self._meets = [
            [
                (j, distances.get((i, j), a.bytes), distances.get((j, i), b.bytes))
                for j, b in enumerate(requests)
                if j != i and a.meets(b)
            ]
            for i, a in enumerate(requests)
        ]

    def attempts(self) -> Iterator[tuple[int, list[int], list[int]]]:
        """Placements, the simple ones first; none where there are no requests."""
        if not self._requests:
            return
        indices = range(len(self._requests))
        best = None
        for key in _ORDERS:
            order = sorted(indices, key=lambda i: (key(self._requests[i]), i))
            for tightest in (False, True):
                attempt = self._place(order, tightest)
                best = attempt if best is None or attempt[0] < best[0] else best
                yield attempt
        assert best is not None
        random = Random(0)
        for _ in range(HILL_CLIMBS):
            order = self._neighbour(best, random)
            attempt = self._place(order, False)
            if attempt[0] <= best[0]:
                best = attempt
            yield attempt

    def _neighbour(self, best: tuple[int, list[int], list[int]], random: Random) -> list[int]:
        """The order with one buffer that ends highest, or one that it meets, moved to an earlier turn."""
        size, order, offsets = best
        top = next(i for i in order if offsets[i] + self._requests[i].bytes == size)
        candidates = [top, *(j for j, _, _ in self._meets[top])]
        moved = random.choice(candidates)
        turn = order.index(moved)
        rest = order[:turn] + order[turn + 1 :]
        at = random.randrange(turn + 1)
        return [*rest[:at], moved, *rest[at:]]

    def _place(self, order: list[int], tightest: bool) -> tuple[int, list[int], list[int]]:
        offsets = [-1] * len(self._requests)
        for i in order:
            # Offsets strictly between the two ends of a pair would touch what is there.
            taken = sorted(
                (offsets[j] - before, offsets[j] + after) for j, before, after in self._meets[i] if offsets[j] >= 0
            )
            offsets[i] = _choose(taken, self._requests[i].alignment, tightest)
        return arena_bytes(self._requests, offsets), order, offsets


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
