"""What the kernels of this family must know of the core."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.variants import DEFAULT, Variant
from thimble.targets.model import Target


@dataclass(frozen=True, slots=True)
class Core:
    """`block` output channels are summed at a time, as many as the registers hold beside inputs and weights.

    `panels`: the same for words of two pixels, as (words, channels). `long_multiply`: an instruction gives the high
    word of a product of two words. `pair_sums`: the sums of panels are assembly (pair_sums.py), in panels of (1, 2).
    `compact`: layers share functions where that costs few cycles. `variant`: how kernels are made where there is a
    choice.
    """

    block: int
    panels: tuple[tuple[int, int], ...]
    long_multiply: bool
    pair_sums: bool = False
    compact: bool = False
    variant: Variant = DEFAULT


_MAINLINE = Core(block=4, panels=((1, 4),), long_multiply=True)

CORES = {
    "rv32im": Core(block=8, panels=((2, 4), (1, 8)), long_multiply=True),
    "armv6-m": Core(block=4, panels=((1, 2),), long_multiply=False, pair_sums=True),
    "armv7-m": _MAINLINE,
    "armv7e-m": _MAINLINE,
    "armv8-m.main": _MAINLINE,
    "armv8.1-m.main": _MAINLINE,
}
"""By the base of the instruction set."""


def core_of(target: Target) -> Core | None:
    """The core of a target; None where it is not known."""
    base = target.isa.split("+")[0]
    return CORES.get(base.removesuffix("c") if base.startswith("rv32") else base)
