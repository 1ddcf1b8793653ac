"""Offsets by constraint programming (OR-Tools CP-SAT): what heuristics leave above the bound is improved or proved.

A buffer is a rectangle, its lifetime wide and its bytes high, and no two rectangles may overlap. Time has two ticks
a step, one to read and one to write: where a slide lets an output lie over a dying operand, the operand ends with the
first tick, the output begins with the second, and the slide itself is a constraint of its own.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from thimble.compiler.plan.layout import lower_bound
from thimble.compiler.plan.requests import Request, Slide, arena_bytes

EFFORT = 1.0
"""Deterministic seconds of CP-SAT: it counts work, not time, so that every machine finds the same plan."""

EXACT_PAIRS = 20_000
"""Beyond so many pairs of parts that are live together, the usual effort goes into nothing but building the model."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Offsets, and a size that no placement is below."""

    offsets: tuple[int, ...]
    bound_bytes: int


def place_exactly(
    requests: Sequence[Request], offsets: Sequence[int], slides: Sequence[Slide] = (), effort: float = EFFORT
) -> Placement:
    """The best placement found within `effort`; `offsets`, which must be sound, where nothing better is."""
    bound, size = lower_bound(requests, slides), arena_bytes(requests, offsets)
    if size <= bound or effort <= 0 or (effort <= EFFORT and _live_pairs(requests) > EXACT_PAIRS):
        return Placement(tuple(offsets), bound)
    found, proved = _solve(requests, offsets, slides, bound, effort)
    return Placement(found, max(bound, proved))


def _live_pairs(requests: Sequence[Request]) -> int:
    """How many pairs of parts are live together."""
    firsts, lasts = (sorted(getattr(p, side) for r in requests for p in r.parts) for side in ("first", "last"))
    return sum(begun - bisect_left(lasts, first) for begun, first in enumerate(firsts))


def _solve(
    requests: Sequence[Request], hint: Sequence[int], slides: Sequence[Slide], bound: int, effort: float
) -> tuple[tuple[int, ...], int]:
    from ortools.sat.python import cp_model  # it takes long to load, and most plans need none of it

    model = cp_model.CpModel()
    size = arena_bytes(requests, hint)
    unit = gcd(*(r.alignment for r in requests), *(p.offset for r in requests for p in r.parts))
    peak = model.new_int_var(bound, size, "peak")
    places = []
    for i, r in enumerate(requests):
        place = model.new_int_var(0, max((size - r.bytes) // unit, 0), f"place_{i}")
        if r.alignment > unit:
            multiple = model.new_int_var(0, size // r.alignment, f"multiple_{i}")
            model.add(place == multiple * (r.alignment // unit))
        model.add(unit * place + r.bytes <= peak)
        model.add_hint(place, hint[i] // unit)
        places.append(place)
    pairs = _sliding_parts(requests, slides)
    late, early = {over for over, _, _ in pairs}, {under for _, under, _ in pairs}
    widths, heights = [], []
    for i, r in enumerate(requests):
        for k, p in enumerate(r.parts):
            first, end = 2 * p.first + ((i, k) in late), 2 * p.last + 2 - ((i, k) in early)
            widths.append(model.new_fixed_size_interval_var(first, end - first, f"life_{i}_{k}"))
            start = places[i] + p.offset // unit
            heights.append(model.new_fixed_size_interval_var(start, -(-p.bytes // unit), f"bytes_{i}_{k}"))
    model.add_no_overlap_2d(widths, heights)
    for (over, born), (under, dying), distance in pairs:
        # The ticks part these two, so that only this keeps them apart.
        above, below = requests[over].parts[born], requests[under].parts[dying]
        before = model.new_bool_var(f"{over}_{born}_before_{under}_{dying}")
        least = above.offset + above.bytes - below.offset if distance is None else distance
        behind = below.offset + below.bytes - above.offset
        model.add(places[under] - places[over] >= -(-least // unit)).only_enforce_if(before)
        model.add(places[over] - places[under] >= -(-behind // unit)).only_enforce_if(~before)
    model.minimize(peak)
    solver = cp_model.CpSolver()
    solver.parameters.catch_sigint_signal = False  # its handler leaves none behind: an interrupt would clean nothing up
    solver.parameters.num_workers = 1  # several would race, and the winner would be another one each time
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = effort
    status = solver.solve(model)
    proved = int(-(-solver.best_objective_bound // 1))
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return tuple(hint), bound
    return tuple(solver.value(place) * unit for place in places), proved


_PartIndex = tuple[int, int]
"""A request and one of its parts."""


def _sliding_parts(
    requests: Sequence[Request], slides: Sequence[Slide]
) -> list[tuple[_PartIndex, _PartIndex, int | None]]:
    """All pairs of a part that begins where it may slide and one that ends there, with the distance between the bodies.

    None as the distance where these two may not slide: ticks part them all the same.
    """
    late: dict[int, set[_PartIndex]] = {}
    early: dict[int, set[_PartIndex]] = {}
    distances = {(slide.over, slide.under): slide.distance for slide in slides}
    for over, under in distances:
        for step in {p.first for p in requests[over].parts} & {p.last for p in requests[under].parts}:
            born = [(over, k) for k, p in enumerate(requests[over].parts) if p.first == step]
            dying = [(under, k) for k, p in enumerate(requests[under].parts) if p.last == step]
            late.setdefault(step, set()).update(born)
            early.setdefault(step, set()).update(dying)
    return [
        (a, b, distances.get((a[0], b[0])))
        for step in sorted(late)
        for a in sorted(late[step])
        for b in sorted(early[step])
        if a[0] != b[0]
    ]
