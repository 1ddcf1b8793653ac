"""Offsets by constraint programming (OR-Tools CP-SAT): what heuristics leave above the bound is improved or proved.

A buffer is a rectangle, its lifetime wide and its bytes high, and no two rectangles may overlap. Time has two ticks
a step, one to read and one to write: where a slide lets an output lie over a dying operand, the operand ends with the
first tick, the output begins with the second, and the slide itself is a constraint of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import gcd

from thimble.compiler.plan.layout import Request, Slide, arena_bytes, lower_bound

EFFORT = 1.0
"""Deterministic seconds of CP-SAT: it counts work, not time, so that every machine finds the same plan."""


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
    if size <= bound or effort <= 0:
        return Placement(tuple(offsets), bound)
    found, proved = _solve(requests, offsets, slides, bound, effort)
    return Placement(found, max(bound, proved))


def _solve(
    requests: Sequence[Request], hint: Sequence[int], slides: Sequence[Slide], bound: int, effort: float
) -> tuple[tuple[int, ...], int]:
    from ortools.sat.python import cp_model  # it takes long to load, and most plans need none of it

    model = cp_model.CpModel()
    size = arena_bytes(requests, hint)
    unit = gcd(*(r.alignment for r in requests))
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
    early = sorted({slide.under for slide in slides})
    late = sorted({slide.over for slide in slides})
    widths, heights = [], []
    for i, r in enumerate(requests):
        first, end = 2 * r.first + (i in late), 2 * r.last + 2 - (i in early)
        widths.append(model.new_fixed_size_interval_var(first, end - first, f"life_{i}"))
        heights.append(model.new_fixed_size_interval_var(places[i], -(-r.bytes // unit), f"bytes_{i}"))
    model.add_no_overlap_2d(widths, heights)
    distances = {(slide.over, slide.under): slide.distance for slide in slides}
    for over, under in ((i, j) for i in late for j in early if requests[i].first == requests[j].last):
        # The ticks part these two, so that only this keeps them apart.
        before = model.new_bool_var(f"{over}_before_{under}")
        distance = distances.get((over, under), requests[over].bytes)
        model.add(places[under] - places[over] >= -(-distance // unit)).only_enforce_if(before)
        model.add(places[over] - places[under] >= -(-requests[under].bytes // unit)).only_enforce_if(~before)
    model.minimize(peak)
    solver = cp_model.CpSolver()
    solver.parameters.num_workers = 1  # several would race, and the winner would be another one each time
    solver.parameters.random_seed = 1
    solver.parameters.max_deterministic_time = effort
    status = solver.solve(model)
    proved = int(-(-solver.best_objective_bound // 1))
    if status not in (cp_model.OPTIMAL, cp_model.FEASIBLE):
        return tuple(hint), bound
    return tuple(solver.value(place) * unit for place in places), proved
