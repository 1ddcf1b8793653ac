"""What the kernels of this family must know of the core."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.targets.model import Target


@dataclass(frozen=True, slots=True)
class Core:
    """`has_fpu`: FPU registers may hold what core registers have no room for.

    `compact`: flash counts as much as cycles; layers share functions, and weights are packed closer, where that costs
    few cycles.
    """

    has_fpu: bool
    compact: bool = False


NO_LIMIT = 1 << 30
"""Bytes of scratch that no kernel reaches."""


def core_of(target: Target, compact: bool = False) -> Core | None:
    """The core of a target, None where it lacks the DSP instructions."""
    extensions = target.isa.split("+")[1:]
    return Core(any(e.startswith("fp") for e in extensions), compact) if "dsp" in extensions else None
