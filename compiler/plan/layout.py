"""Offsets for buffers of known size and lifetime: the dynamic storage allocation problem.

Greedy placement: take the buffers in some order, put each at the lowest offset where it touches no buffer
already placed that is live at the same time. Several orders are tried; the smallest arena wins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass


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


_ORDERS: tuple[Callable[[Request], tuple[int, ...]], ...] = (
    lambda r: (-r.bytes, r.first),
    lambda r: (-(r.last - r.first), -r.bytes),
    lambda r: (-r.bytes * (r.last - r.first + 1), r.first),
    lambda r: (r.first, -r.bytes),
    lambda r: (-r.last, -r.bytes),
)


def lower_bound(requests: Sequence[Request]) -> int:
    """The most bytes live at one step: no placement is smaller."""
    steps = {r.first for r in requests}
    return max((sum(r.bytes for r in requests if r.first <= step <= r.last) for step in steps), default=0)


def place(requests: Sequence[Request]) -> tuple[int, ...]:
    """An offset for each request, such that no two that are live together overlap."""
    candidates = [_place_in_order(requests, order) for order in _ORDERS]
    return min(candidates, key=lambda offsets: arena_bytes(requests, offsets))


def arena_bytes(requests: Sequence[Request], offsets: Sequence[int]) -> int:
    """Bytes that a placement takes."""
    return max((offset + r.bytes for r, offset in zip(requests, offsets, strict=True)), default=0)


def _place_in_order(requests: Sequence[Request], key: Callable[[Request], tuple[int, ...]]) -> tuple[int, ...]:
    offsets = [0] * len(requests)
    placed: list[int] = []
    for i in sorted(range(len(requests)), key=lambda index: (key(requests[index]), index)):
        taken = sorted((offsets[j], offsets[j] + requests[j].bytes) for j in placed if requests[j].meets(requests[i]))
        offsets[i] = _lowest_gap(taken, requests[i])
        placed.append(i)
    return tuple(offsets)


def _lowest_gap(taken: Sequence[tuple[int, int]], request: Request) -> int:
    offset = 0
    for start, end in taken:
        if offset + request.bytes <= start:
            break
        offset = max(offset, -(-end // request.alignment) * request.alignment)
    return offset
