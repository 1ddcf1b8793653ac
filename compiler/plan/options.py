"""What a plan is asked to be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from thimble.compiler.plan.cycles import CycleModel
from thimble.compiler.plan.exact_layout import EFFORT
from thimble.compiler.plan.regions import Region


class Schedule(Enum):
    """How nodes run: whole one after the other, by rows, by rows of patches and strips too, or what is best."""

    AUTO = "auto"
    LAYER = "layer"
    ROWS = "rows"
    PATCH = "patch"


class Objective(Enum):
    """What a plan is good for: the least bytes, the fewest cycles, or few bytes for few more cycles."""

    BALANCED = "balanced"
    SRAM = "sram"
    LATENCY = "latency"


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """`max_sram_bytes` is the largest arena that fits, None without limit; the plan is the smallest where none does.
    Where it `uses_limit`, a balanced plan takes as much of that as brings fewer cycles.

    `max_cycles` are the most that a plan is to be predicted to take; it is the fastest one that was found where none
    takes so few. Under `input_by_rows` the inputs are read row by row when they are needed. `effort` bounds the exact
    search for offsets, in CP-SAT's deterministic seconds. `regions` are the memories over which an arena may be spread,
    the one that takes it whole first; none if it must be one block. `cycles` is what kernels cost, None for the chip of
    reference. `progress` hears what is being done, and how much of it is (0 to 1).
    """

    schedule: Schedule = Schedule.AUTO
    objective: Objective = Objective.BALANCED
    max_sram_bytes: int | None = None
    uses_limit: bool = False
    input_by_rows: bool = False
    effort: float = EFFORT
    regions: tuple[Region, ...] = ()
    cycles: CycleModel | None = None
    max_cycles: int | None = None
    progress: Callable[[str, float], None] = lambda what, part: None
