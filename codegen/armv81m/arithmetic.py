"""Requantization in vectors: what is known of a layer's channels, and the proof that no step overflows.

VQRDMULH and VRSHL are gemmlowp's doubling high product and rounding shift but for halves below zero
(runtime_c/armv81m/thimble_requantize_mve.h), so that multipliers and shifts are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.kernel_tools.plain_layer import PlainLayer

MAX_SUM_BITS = 30
"""Sums after their left shift are below 2**30: so no requantized value wraps around when the zero point is added."""


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """thimble_form_mve: code is made only for what a layer needs."""

    shifts_left: bool
    rounds_ties: bool
    clamps: bool

    @property
    def name(self) -> str:
        """A short name that tells the forms apart."""
        return f"{'l' * self.shifts_left}{'t' * self.rounds_ties}{'c' * self.clamps}" or "p"

    @property
    def fields(self) -> str:
        """The fields of the C struct."""
        return f"{self.shifts_left:d}, {self.rounds_ties:d}, {self.clamps:d}"


def arithmetic_of(layer: PlainLayer) -> Arithmetic | None:
    """How a layer is requantized; None where a sum could leave the range in which the vectors give the same bytes."""
    used = layer.multipliers != 0
    shifts = np.where(used, layer.shifts, 0).astype(np.int64)
    left = np.clip(shifts, 0, MAX_SUM_BITS)
    if (layer.bounds >= np.int64(1) << (MAX_SUM_BITS - left)).any():
        return None
    return Arithmetic(bool((used & (shifts >= 0)).any()), layer.rounds_ties, layer.limits_inside)
