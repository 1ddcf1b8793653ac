"""Which body lies in which of several memories, and where in it: the hottest bodies in the fastest memory.

Each body first lies in the largest memory, the home. Groups of bodies are taken in some order, and each goes to the
fastest memory that still has room for it: in the order of accesses a byte, which gives the fewest wait states, or in
orders that relieve the home where it is too small for what is live at once. The assignment that fits and waits least
is kept. What the live bytes promise, a layout may not hold: then the last groups that came go home again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.exact_layout import place_exactly
from thimble.compiler.plan.layout import lower_bound, place
from thimble.compiler.plan.live_bytes import LiveBytes
from thimble.compiler.plan.plan import Block
from thimble.compiler.plan.requests import Request, Slide, arena_bytes

BLOCK_ALIGNMENT = 16
"""Each block takes a multiple of it, so that all begin at one when offsets count through them."""


@dataclass(frozen=True, slots=True)
class Region:
    """A memory in which a block of the arena may lie; an access takes `wait_states` cycles beyond one."""

    name: str
    bytes: int
    wait_states: int


@dataclass(frozen=True, slots=True)
class Bodies:
    """What is to be placed: bodies, what may lie over what, and the group of each body.

    The bodies of a group lie in one region; `accesses` has for each group how often its bytes are read or written.
    """

    requests: tuple[Request, ...]
    slides: tuple[Slide, ...]
    groups: tuple[int, ...]
    accesses: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Spread:
    """A placement in several regions: offsets that count through all blocks, and what no layout of them is below."""

    offsets: tuple[int, ...]
    blocks: tuple[Block, ...]
    bound_bytes: int


def spread(bodies: Bodies, regions: Sequence[Region], effort: float) -> Spread | None:
    """Place bodies in regions, each within its size, with the fewest wait states that were found; None where none fits.

    `effort` bounds the search for offsets (layout.py, exact_layout.py). There must be bodies and regions.
    """
    by_speed = sorted(regions, key=lambda r: r.wait_states)
    together = [[number] * len(bodies.accesses) for number in range(len(by_speed))]
    apart = list(assign_regions(bodies, by_speed))
    assignments = sorted((*together, *apart), key=lambda homes: (waits(bodies, by_speed, homes), len(set(homes))))
    for tried in dict.fromkeys((0.0, effort)):
        for homes in assignments:
            found = _lay_out(bodies, by_speed, homes, tried)
            if found is not None:
                return found
    return None


def waits(bodies: Bodies, regions: Sequence[Region], homes: Sequence[int]) -> int:
    """Cycles that all accesses wait, where `homes` has the region of each group."""
    return sum(count * regions[home].wait_states for count, home in zip(bodies.accesses, homes, strict=True))


def assign_regions(bodies: Bodies, regions: Sequence[Region]) -> Iterator[list[int]]:
    """The region of each group, by its number, once for each order in which groups are taken; the first is by heat.

    `regions` are sorted, the fastest first. Live bytes, and so the layouts, stay within the size of each region but
    the largest one, the home, which takes what fits nowhere else.
    """
    live = LiveBytes(bodies.requests)
    profiles = _profiles(bodies, live)
    home = max(range(len(regions)), key=lambda number: regions[number].bytes)
    for order in _orders(bodies, profiles, live.bytes - regions[home].bytes):
        homes = [home] * len(profiles)
        room = [np.full(len(live.bytes), region.bytes, np.int64) for region in regions]
        for group in order:
            fitting = (number for number, left in enumerate(room) if (profiles[group] <= left).all())
            homes[group] = next(fitting, home)
            room[homes[group]] -= profiles[group]
        moved = [group for group in order if homes[group] != home]
        yield _sent_home(bodies, regions, homes, moved, home)


def _profiles(bodies: Bodies, live: LiveBytes) -> list[Array]:
    """For each group, how many of its bytes are live at each step."""
    amounts = np.array([p.bytes for r in bodies.requests for p in r.parts], np.int64)
    owners = np.array([g for r, g in zip(bodies.requests, bodies.groups, strict=True) for _ in r.parts], np.int64)
    return [live.sum(np.where(owners == group, amounts, 0)) for group in range(len(bodies.accesses))]


def _orders(bodies: Bodies, profiles: Sequence[Array], excess: Array) -> Iterator[list[int]]:
    """Groups by accesses a byte; then, for a home that is too small, by the bytes that they take when it overflows."""
    groups = range(len(profiles))
    most = [max(int(profile.max(initial=0)), 1) for profile in profiles]
    keys: list[Callable[[int], float]] = [lambda g: -bodies.accesses[g] / most[g]]
    if (excess > 0).any():
        over = [int(profile[excess > 0].sum()) for profile in profiles]
        keys += [lambda g: -over[g], lambda g: -over[g] / most[g], lambda g: -most[g]]
    for key in keys:
        yield sorted(groups, key=key)


def _sent_home(bodies: Bodies, regions: Sequence[Region], homes: list[int], moved: list[int], home: int) -> list[int]:
    """The assignment after the groups that came last have left those regions whose layout is larger than they are."""
    for number in set(homes) - {home}:
        inside = [group for group in moved if homes[group] == number]
        while inside and _lay_out_one(bodies, regions, homes, number, 0.0) is None:
            homes[inside.pop()] = home
    return homes


def _lay_out(bodies: Bodies, regions: Sequence[Region], homes: Sequence[int], effort: float) -> Spread | None:
    """Offsets and blocks of an assignment; None where a region is too small."""
    offsets, blocks, start, bound = [0] * len(bodies.requests), [], 0, 0
    for number in sorted(set(homes)):
        placed = _lay_out_one(bodies, regions, homes, number, effort)
        if placed is None:
            return None
        for index, offset in placed.offsets.items():
            offsets[index] = start + offset
        blocks.append(Block(regions[number].name, start, placed.bytes))
        start += placed.bytes
        bound += placed.bound_bytes
    return Spread(tuple(offsets), tuple(blocks), bound)


@dataclass(frozen=True, slots=True)
class _Placed:
    """Offsets of the bodies of one region from its start, the bytes of its block, and what these cannot be below."""

    offsets: dict[int, int]
    bytes: int
    bound_bytes: int


def _lay_out_one(
    bodies: Bodies, regions: Sequence[Region], homes: Sequence[int], number: int, effort: float
) -> _Placed | None:
    """The block of one region; None where the region is too small for it."""
    inside = [i for i, group in enumerate(bodies.groups) if homes[group] == number]
    at = {body: position for position, body in enumerate(inside)}
    requests = [bodies.requests[i] for i in inside]
    slides = [Slide(at[s.over], at[s.under], s.distance) for s in bodies.slides if s.over in at and s.under in at]
    if lower_bound(requests, slides) > regions[number].bytes:
        return None
    placement = place_exactly(requests, place(requests, slides, effort), slides, effort)
    size = -(-max(arena_bytes(requests, placement.offsets), 1) // BLOCK_ALIGNMENT) * BLOCK_ALIGNMENT
    if size > regions[number].bytes:
        return None
    return _Placed(dict(zip(inside, placement.offsets, strict=True)), size, placement.bound_bytes)
