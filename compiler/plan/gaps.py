"""Room for scratch in an arena that is laid out already: what no buffer takes at any step of a stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from thimble.compiler.ir.operator import Array
from thimble.compiler.plan.plan import Buffer, BufferKind, Plan

SCRATCH_ALIGNMENT = 8
"""Of scratch and accumulators, whatever their element type."""


@dataclass(frozen=True, slots=True)
class Gap:
    """The largest room of a stage, and whether its output lies off all of its inputs."""

    offset: int
    bytes: int
    apart: bool

    def joined(self, other: Gap) -> Gap:
        """What two stages of one node have in common; the offset is that of one of them."""
        return Gap(self.offset, min(self.bytes, other.bytes), self.apart and other.apart)


def find_gaps(plan: Plan, arena_bytes: int) -> list[Gap]:
    """For each stage of a plan its gap in an arena of some bytes, at least as many as the plan takes.

    What scratch the plan has is left out, since `fill_gaps` gives it other places.
    """
    buffers = sorted((b for b in plan.buffers if b.bytes and b.kind is not BufferKind.SCRATCH), key=lambda b: b.offset)
    table = np.array([(b.first_step, b.last_step, b.offset, b.end) for b in buffers], np.int64).reshape(-1, 4)
    tiles = np.array([-1 if b.tile is None else b.tile for b in buffers], np.int64)
    calls = _calls(plan)
    return [_gap(plan, stage, calls[stage], table, tiles, arena_bytes) for stage in range(len(plan.stages))]


def fill_gaps(plan: Plan, scratch_bytes: Sequence[int], gaps: Sequence[Gap]) -> Plan:
    """The plan with scratch of some bytes for each stage at the beginning of its gap, and no other scratch."""
    kept = [b for b in plan.buffers if b.kind is not BufferKind.SCRATCH]
    made: list[Buffer] = []
    for stage, (calls, size) in enumerate(zip(_calls(plan), scratch_bytes, strict=True)):
        if size:
            buffer = Buffer(f"scratch_{stage}", BufferKind.SCRATCH, gaps[stage].offset, size, 0, 0, stage=stage)
            for group in np.split(calls, np.flatnonzero(np.diff(calls) > 1) + 1):
                made.append(replace(buffer, first_step=int(group[0]), last_step=int(group[-1])))
    end = max((b.end for b in made), default=0)
    return replace(plan, buffers=(*kept, *made), arena_bytes=max(plan.arena_bytes, end))


def _calls(plan: Plan) -> list[Array]:
    """The steps of each stage, in order."""
    stages = np.array([step.stage for step in plan.steps], np.int64)
    return [np.flatnonzero(stages == stage) for stage in range(len(plan.stages))]


def _gap(plan: Plan, stage: int, calls: Array, table: Array, tiles: Array, arena_bytes: int) -> Gap:
    firsts, lasts = np.searchsorted(calls, table[:, 0]), np.searchsorted(calls, table[:, 1], side="right")
    live = firsts < lasts
    starts, ends = table[live, 2], np.maximum.accumulate(table[live, 3])
    lows = -(-np.append(0, ends) // SCRATCH_ALIGNMENT) * SCRATCH_ALIGNMENT
    rooms = np.append(starts, arena_bytes) - lows
    best = int(rooms.argmax())
    over = table[live & np.isin(tiles, plan.stages[stage].outputs), None]
    under = table[live & np.isin(tiles, [i for i in plan.stages[stage].inputs if i is not None])]
    meet = (over[..., 2] < under[:, 3]) & (under[:, 2] < over[..., 3])  # in space, and in time
    meet &= (over[..., 0] <= under[:, 1]) & (under[:, 0] <= over[..., 1])
    return Gap(int(lows[best]), max(int(rooms[best]), 0), not meet.any())
