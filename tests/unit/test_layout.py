"""Layouts: sound, never above the heuristic, and as small as any where the solver says so."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest

from tests.shared_data import ROOT
from thimble.compiler.plan.conflicts import find_conflicts
from thimble.compiler.plan.ejection import Ejection
from thimble.compiler.plan.exact_layout import place_exactly
from thimble.compiler.plan.layout import Part, Request, Slide, arena_bytes, lower_bound, place

HARD = (0, 2, 5, 7, 29)
"""Seeds of `draw` where first-fit in the simple orders misses the best placement."""


def draw(rng: np.random.Generator, count: int, steps: int, unit: int = 4) -> tuple[list[Request], list[Slide]]:
    """Random requests; slides wherever a lifetime begins at the step at which another ends."""
    requests = []
    for _ in range(count):
        first = int(rng.integers(0, steps))
        size = int(rng.integers(1, 5) * unit + rng.integers(0, 2))
        requests.append(Request.block(first, first + int(rng.integers(0, 4)), size, int(rng.choice([unit, 2 * unit]))))
    slides = [
        Slide(i, j, int(rng.integers(-unit, a.bytes + 1)))
        for i, a in enumerate(requests)
        for j, b in enumerate(requests)
        if i != j and b.last == a.first and b.first < a.first and rng.random() < 0.5
    ]
    return requests, slides


def is_sound(requests: list[Request], slides: list[Slide], offsets: tuple[int, ...]) -> bool:
    """Whether no two parts of two bodies share a byte at a step, but for what slides allow: part by part."""
    if any(offset < 0 or offset % r.alignment for r, offset in zip(requests, offsets, strict=True)):
        return False
    distances = {(s.over, s.under): s.distance for s in slides}
    return all(
        part_keeps_apart(a, offsets[i], b, offsets[j], distances.get((i, j)), distances.get((j, i)))
        for i, j in combinations(range(len(requests)), 2)
        for a in requests[i].parts
        for b in requests[j].parts
    )


def part_keeps_apart(a: Part, a_start: int, b: Part, b_start: int, a_over_b: int | None, b_over_a: int | None) -> bool:
    """Whether parts of bodies that begin at these offsets may both be there; the distances are those of slides."""
    if a.last < b.first or b.last < a.first:
        return True
    if a_start + a.offset + a.bytes <= b_start + b.offset or b_start + b.offset + b.bytes <= a_start + a.offset:
        return True
    if a_over_b is not None and a.first == b.last and b_start - a_start >= a_over_b:
        return True
    return b_over_a is not None and b.first == a.last and a_start - b_start >= b_over_a


@pytest.mark.parametrize("seed", range(60))
def test_both_are_sound_and_the_exact_one_is_no_worse(seed: int) -> None:
    requests, slides = draw(np.random.default_rng(seed), 25, 12)
    offsets = place(requests, slides)
    exact = place_exactly(requests, offsets, slides, effort=0.05)
    assert is_sound(requests, slides, offsets)
    assert is_sound(requests, slides, exact.offsets)
    assert lower_bound(requests, slides) <= exact.bound_bytes <= arena_bytes(requests, exact.offsets)
    assert arena_bytes(requests, exact.offsets) <= arena_bytes(requests, offsets)


def draw_bodies(rng: np.random.Generator) -> tuple[list[Request], list[Slide]]:
    """Random requests, some of them tensors in one piece whose rows are born or die one by one, or that come back."""
    requests, _ = draw(rng, 12, 12)
    for _ in range(4):
        first, count, size = int(rng.integers(0, 6)), int(rng.integers(2, 6)), int(rng.integers(1, 9))
        dying = [Part(first, first + row, size, row * size) for row in range(count)]
        born = [Part(first + row, first + count, size, row * size) for row in range(count)]
        back = [Part(first + 2 * turn, first + 2 * turn, size) for turn in range(count)]
        requests.append(Request(tuple((dying, born, back)[int(rng.integers(0, 3))]), 4))
    slides = [
        Slide(i, j, int(rng.integers(-4, a.bytes + 1)))
        for i, a in enumerate(requests)
        for j, b in enumerate(requests)
        if i != j and {p.first for p in a.parts} & {p.last for p in b.parts} and rng.random() < 0.3
    ]
    return requests, slides


@pytest.mark.parametrize("seed", range(40))
def test_bodies_of_several_parts_are_placed_soundly(seed: int) -> None:
    requests, slides = draw_bodies(np.random.default_rng(seed))
    offsets = place(requests, slides, effort=0.05)
    exact = place_exactly(requests, offsets, slides, effort=0.05)
    assert is_sound(requests, slides, offsets)
    assert is_sound(requests, slides, exact.offsets)
    assert lower_bound(requests, slides) <= exact.bound_bytes <= arena_bytes(requests, exact.offsets)
    assert arena_bytes(requests, exact.offsets) <= arena_bytes(requests, offsets)


@pytest.mark.parametrize("seed", range(40))
def test_ejection_makes_any_placement_smaller(seed: int) -> None:
    """From all bodies one above the other."""
    requests, slides = draw_bodies(np.random.default_rng(seed))
    offsets, end = [], 0
    for request in requests:
        offsets.append(-(-end // request.alignment) * request.alignment)
        end = offsets[-1] + request.bytes
    found = Ejection(requests, find_conflicts(requests, slides)).search(offsets, 0, 2000)
    assert is_sound(requests, slides, found)
    assert arena_bytes(requests, found) < end


def cascade(rows: int, layers: list[tuple[int, int]]) -> list[Request]:
    """Rows of layers (row bytes, kernel height) that are computed one after the other, each row when it is needed."""
    births: list[dict[int, int]] = [{} for _ in range(len(layers) + 1)]
    deaths: list[dict[int, int]] = [{} for _ in range(len(layers) + 1)]
    step = 0

    def make(layer: int, row: int) -> None:
        nonlocal step
        if row in births[layer]:
            return
        below = range(max(row - layers[layer - 1][1] // 2, 0), min(row + layers[layer - 1][1] // 2 + 1, rows))
        for needed in below if layer else ():
            make(layer - 1, needed)
        births[layer][row] = deaths[layer][row] = step
        for needed in below if layer else ():
            deaths[layer - 1][needed] = step
        step += 1

    for row in range(rows):
        make(len(layers), row)
    sizes = [16, *(size for size, _ in layers)]
    return [
        Request.block(births[layer][row], deaths[layer][row], sizes[layer])
        for layer in range(len(sizes))
        for row in range(rows)
    ]


def test_rows_of_a_run_take_less_than_in_the_simple_orders() -> None:
    requests = cascade(40, [(96, 3), (24, 1), (144, 1), (144, 3), (32, 1), (192, 1), (192, 3), (32, 1)])
    simple, offsets = place(requests, effort=0), place(requests)
    assert is_sound(requests, [], offsets)
    assert offsets == place(requests)
    assert lower_bound(requests) <= arena_bytes(requests, offsets) < arena_bytes(requests, simple)


def fits_below(requests: list[Request], slides: list[Slide], size: int, offsets: tuple[int, ...] = ()) -> bool:
    """Whether any placement of all requests takes less than `size` bytes, by trying all."""
    count = len(offsets)
    if count == len(requests):
        return True
    placed = [s for s in slides if max(s.over, s.under) <= count]
    return any(
        is_sound(requests[: count + 1], placed, (*offsets, offset))
        and fits_below(requests, slides, size, (*offsets, offset))
        for offset in range(0, size - requests[count].bytes, requests[count].alignment)
    )


@pytest.mark.parametrize("seed", range(30))
def test_no_placement_is_smaller_than_the_exact_one(seed: int) -> None:
    requests, slides = draw(np.random.default_rng(seed), 6, 4, unit=2)
    exact = place_exactly(requests, place(requests, slides), slides)
    assert exact.bound_bytes == arena_bytes(requests, exact.offsets)
    assert not fits_below(requests, slides, exact.bound_bytes)


@pytest.mark.parametrize("seed", HARD)
def test_the_solver_finds_what_heuristics_miss(seed: int) -> None:
    requests, slides = draw(np.random.default_rng(seed), 25, 12)
    offsets = place(requests, slides, effort=0)
    exact = place_exactly(requests, offsets, slides)
    assert arena_bytes(requests, exact.offsets) < arena_bytes(requests, offsets)
    assert exact == place_exactly(requests, offsets, slides)


def test_an_interrupt_behind_the_solver_is_python_s() -> None:
    """In a process of its own, which ends at once if the solver has left SIGINT to the system."""
    code = f"""
import signal
import numpy as np
from {__name__} import HARD, draw, place, place_exactly
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background ignores it from the start
requests, slides = draw(np.random.default_rng(HARD[0]), 25, 12)
place_exactly(requests, place(requests, slides, effort=0), slides)
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("cleaned up")
"""
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "cleaned up\n"), run.stderr


def test_a_slide_lets_a_buffer_lie_over_another() -> None:
    requests = [Request.block(0, 1, 100), Request.block(1, 2, 80)]
    assert arena_bytes(requests, place(requests)) == lower_bound(requests) == 180
    for distance, size in ((0, 100), (20, 120), (80, 180), (-8, 100)):
        slides = [Slide(1, 0, distance)]
        offsets = place(requests, slides)
        assert arena_bytes(requests, offsets) == lower_bound(requests, slides) == size
        assert is_sound(requests, slides, offsets)


def test_bound_counts_alignment() -> None:
    assert lower_bound([Request.block(0, 0, 5), Request.block(0, 0, 6)]) == 13  # 6 below 5: 8 + 5


def test_no_requests() -> None:
    assert place([]) == ()
    assert place_exactly([], ()).offsets == ()
