"""What the kernels of this family must know of the core."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.variants import DEFAULT, Variant
from thimble.targets.model import Target


@dataclass(frozen=True, slots=True)
class Core:
    """`has_fpu`: FPU registers may hold what core registers have no room for.

    `winograd_bytes`: most flash that one layer's transformed weights may take; 0 keeps to the direct kernels.
    `compact`: flash counts as much as cycles; layers share functions, and weights are packed closer, where that costs
    few cycles.
    `variant`: how kernels are made where there is a choice.
    """

    has_fpu: bool
    winograd_bytes: int = 0
    compact: bool = False
    variant: Variant = DEFAULT


def core_of(target: Target) -> Core | None:
    """The core of a target, None where it lacks the DSP instructions."""
    extensions = target.isa.split("+")[1:]
    return Core(any(e.startswith("fp") for e in extensions)) if "dsp" in extensions else None
