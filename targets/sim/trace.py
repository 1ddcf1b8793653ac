"""What a simulated run tells: the one type that every simulator returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Timing = Literal["exact", "model", "estimate"]


@dataclass(frozen=True, slots=True)
class FunctionCost:
    """Cost of one function over the whole run, without the functions that it calls.

    The inclusive figures count those too, a recursion once.
    """

    name: str
    calls: int
    instructions: int
    cycles: int | None
    inclusive_cycles: int | None = None
    inclusive_instructions: int | None = None


@dataclass(frozen=True, slots=True)
class Trace:
    """One firmware run on a simulator.

    `None` means that this simulator does not measure the quantity; it is never a guess. `cycles` means
    something only together with `timing`: "exact" comes from real RTL, "model" from a timing model validated
    against silicon within `timing_error_percent`, "estimate" from one that was not. `stats` holds the integers
    of the console's `thimble: key=value` lines.
    """

    exit_code: int
    instructions: int | None = None
    cycles: int | None = None
    peak_stack_bytes: int | None = None
    functions: tuple[FunctionCost, ...] = ()
    loads: Mapping[str, int] = field(default_factory=dict)  # memory region name -> count
    stores: Mapping[str, int] = field(default_factory=dict)  # memory region name -> count
    flash_misses: int | None = None
    unknown_encodings: tuple[str, ...] = ()
    timing: Timing | None = None
    timing_error_percent: float | None = None
    stats: Mapping[str, int] = field(default_factory=dict)
    console: str = ""
