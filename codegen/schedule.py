"""The order of calls: layers called one behind the other, and runs of streamed stages from tables in flash."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from thimble.codegen.c_text import wrap
from thimble.codegen.lowered import DirectCall, GuardedCalls, Layer, Reader, Run, Schedule
from thimble.codegen.places import block_pointer
from thimble.compiler.plan.plan import Plan

MAX_REPEATS = 255
MAX_LENGTH = 255
"""How often a part of a run may repeat, and how many steps it may have: both stand in a table of bytes."""

PIECE = 1 << 14
"""Steps that are folded at once, which bounds the memory that folding takes."""


@dataclass(frozen=True, slots=True)
class Repeated:
    """Steps, each the number of a stage, that run `repeats` times."""

    repeats: int
    stages: tuple[int, ...]


def make_schedule(plan: Plan, made: Sequence[Reader | Layer]) -> Schedule:
    """The schedule of a plan whose stages have these functions, readers first; views have none and are left out.

    Raises ValueError where a stage that is guarded takes several steps.
    """
    functions = {function.stage: function for function in made}
    streamed = [function for function in made if function.streamed]
    numbers = {f.stage: number for number, f in enumerate(streamed)}
    guards = {guard.stage: (guard.flag, guard.wanted) for guard in plan.guards}
    if not guards.keys().isdisjoint(numbers):
        raise ValueError("a stage that a flag guards takes several steps")
    items: list[Run | DirectCall | GuardedCalls] = []
    stages = [step.stage for step in plan.steps if step.stage in functions]
    for (in_run, guard), group in groupby(stages, lambda stage: (stage in numbers, guards.get(stage))):
        if in_run:
            items.append(_make_run(sum(isinstance(item, Run) for item in items), [numbers[stage] for stage in group]))
            continue
        calls = tuple(DirectCall(functions[s].function, functions[s].is_reader) for s in group)
        items += calls if guard is None else [_guarded(plan, functions, guard, calls)]
    most_steps = max((stages.count(stage) for stage in numbers), default=0)
    return Schedule(
        tuple(items),
        tuple(f.function for f in streamed if f.is_reader),
        tuple(f.function for f in streamed if not f.is_reader),
        _number_type(len(streamed) - 1),
        _number_type(most_steps),
    )


def _guarded(
    plan: Plan, functions: Mapping[int, Reader | Layer], guard: tuple[int, bool], calls: tuple[DirectCall, ...]
) -> GuardedCalls:
    """Calls that are left out where the byte of a flag, which lies in the arena, says so."""
    flag, wanted = guard
    offset = plan.value_offset(flag)
    address = block_pointer(plan, offset, "base").address(offset)
    maker = next(f for f in functions.values() if flag in (plan.tiles[t].value for t in plan.stages[f.stage].outputs))
    return GuardedCalls(f"{'' if wanted else '!'}IS_SET({address})", f"as {maker.function} found", calls)


def _make_run(index: int, stages: list[int]) -> Run:
    parts = fold(stages)
    lines = [line for part in parts for line in _part_lines(part)]
    return Run(f"run_{index}", len(stages), sum(2 + len(part.stages) for part in parts), tuple(lines))


def _part_lines(part: Repeated) -> list[str]:
    return wrap(map(str, (part.repeats, len(part.stages), *part.stages)))


def _number_type(largest: int) -> str:
    """The smallest type that holds numbers up to this one."""
    return "uint8_t" if largest < 1 << 8 else "uint16_t" if largest < 1 << 16 else "int32_t"


def fold(stages: Sequence[int]) -> list[Repeated]:
    """A sequence as parts that repeat, in few numbers: a part takes two and its length."""
    pieces = (stages[first : first + PIECE] for first in range(0, len(stages), PIECE))
    return [part for piece in pieces for part in _fold_piece(piece)]


def _fold_piece(stages: Sequence[int]) -> list[Repeated]:
    """The parts of a sequence that takes the fewest numbers.

    Dynamic programming from the end: at each position, either a part that runs once, or one of any length that
    repeats as often as it can.
    """
    count = len(stages)
    sequence = np.array(stages)
    matches = np.zeros((min(MAX_LENGTH, count // 2) + 1, count + 1), np.int64)
    for lag in range(1, len(matches)):
        matches[lag] = _matches(sequence, lag)
    costs = np.zeros(count + 1, np.int64)
    choices: list[tuple[int, int]] = [(0, 0)] * count
    lengths = np.arange(1, MAX_LENGTH + 1)
    lags = np.arange(1, len(matches))
    for at in range(count - 1, -1, -1):
        once = lengths[: count - at]
        prices = 2 + once + costs[at + once]
        best = int(np.argmin(prices))
        costs[at], choices[at] = prices[best], (1, best + 1)
        repeats = np.minimum(matches[1:, at] // lags + 1, MAX_REPEATS)
        if (repeats > 1).any():
            prices = np.where(repeats > 1, 2 + lags + costs[np.minimum(at + repeats * lags, count)], 1 << 60)
            best = int(np.argmin(prices))
            if prices[best] < costs[at]:
                costs[at], choices[at] = prices[best], (int(repeats[best]), best + 1)
    return _parts(stages, choices)


def _matches(sequence: np.ndarray, lag: int) -> np.ndarray:
    """For each position, how many elements from there on equal those `lag` behind them."""
    count = len(sequence)
    differs = np.full(count + 1, True)
    differs[: count - lag] = sequence[:-lag] != sequence[lag:]
    positions = np.where(differs, np.arange(count + 1), count + 1)
    return np.minimum.accumulate(positions[::-1])[::-1] - np.arange(count + 1)


def _parts(stages: Sequence[int], choices: Sequence[tuple[int, int]]) -> list[Repeated]:
    parts, at = [], 0
    while at < len(stages):
        repeats, length = choices[at]
        parts.append(Repeated(repeats, tuple(stages[at : at + length])))
        at += repeats * length
    return parts
