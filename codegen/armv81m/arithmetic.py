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


def requantization_lines(arithmetic: Arithmetic) -> list[str]:
    """Assembly: the sums in q0 and q1 become bytes, those of q0 in the low halves of the words of q0, q1's in the high.

    %[weights] is at biases and multipliers (2, 4) int32 and shifts (4) int8 and is moved behind them; r0 holds the
    zero point; %[limits] is at the lower and the upper limit, (2, 8) int16. q2 to q5 are overwritten.
    """
    lines = [
        "vldrw.32 q2, [%[weights]], #16",
        "vadd.i32 q0, q0, q2",
        "vldrw.32 q3, [%[weights]], #16",
        "vadd.i32 q1, q1, q2",
        "vldrb.s32 q2, [%[weights]], #4",
    ]
    if arithmetic.shifts_left:
        lines += ["vmov.i32 q4, #0", "vmax.s32 q5, q2, q4", "vmin.s32 q2, q2, q4"]
        lines += [f"vshl.s32 q{i}, q{i}, q5" for i in range(2)]
    lines += [f"vqrdmulh.s32 q{i}, q{i}, q3" for i in range(2)]
    if arithmetic.rounds_ties:
        for i in range(2):
            lines += [f"vand q4, q{i}, q2"] if arithmetic.shifts_left else []
            lines += [f"vshr.s32 q4, q{4 if arithmetic.shifts_left else i}, #31", f"vqadd.s32 q{i}, q{i}, q4"]
    lines += [f"vrshl.s32 q{i}, q{i}, q2" for i in range(2)]
    lines += ["vqmovnb.s32 q0, q0", "vqmovnt.s32 q0, q1", "vqadd.s16 q0, q0, r0"]
    if not arithmetic.clamps:
        return [*lines, "vqmovnb.s16 q0, q0"]
    limits = [f"vldrh.16 q{2 + i}, [%[limits], #{16 * i}]" for i in range(2)]
    return [*lines, *limits, "vmax.s16 q0, q0, q2", "vmin.s16 q0, q0, q3"]
