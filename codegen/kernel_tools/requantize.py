"""Requantization fused into one SMMLA, with the same bytes as thimble_requantize, and the proof that it is.

With acc the sum, m the multiplier, n >= 1 the right shift and s = scale_bits >= 2:

    high = floor(acc * 2**s * m / 2**32)                       what SMMLA adds up
    (high + 2**(s-2)) >> (s-1) = floor((acc * m + 2**30) / 2**31)      gemmlowp's doubling high multiplication
    y = (high + 2**(s-2) + 2**(n+s-2) + zp * 2**(n+s-1)) >> (n+s-1)    and its rounding shift, zero point included

Halves of the last shift are rounded away from zero below zero: 2**(s-1) less where acc < 0. Where acc < 0 gives a high
product of 0 that changes nothing, since (2**(n-1) - 1) >> n is 0 too; and below a lower output limit at the zero point
nothing of it is seen.

A multiplier of 0.5 and more, as fewer bits of inputs and weights make it, is a left shift l = -n >= 0. The plain kernel
then rounds once, and so do 2**(n+s-2) and the zero point alone, for either sign, where s >= l + 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.compiler.ir.operator import Array

MIN_SCALE_BITS, MAX_SCALE_BITS = 2, 8
MAX_TOTAL_SHIFT = 22
"""Largest n + s - 1: then zero point, rounding terms and high product together stay below 2**31."""


@dataclass(frozen=True, slots=True)
class Requantization:
    """Per-channel constants, int64: sums are to be scaled by 2**scale_bits; multipliers, addends and last shifts."""

    scale_bits: Array
    multipliers: Array
    addends: Array
    shifts: Array

    @property
    def uniform_bits(self) -> int:
        """The scale of all channels, where it is one."""
        return int(self.scale_bits[0])


@dataclass(frozen=True, slots=True)
class PlainRequantization:
    """A plain kernel's multipliers and shifts, with the bounds of its sums: |sum| <= bound for each channel.

    `target` is what the zero point becomes in the last step: the output's, or its distance from the lower limit.
    `takes_left`: whether left shifts may be fused, whose addends lack a term.
    """

    multipliers: Array
    shifts: Array
    bounds: Array
    target: int
    takes_left: bool = False

    @property
    def right(self) -> Array:
        """Right shifts n; 1 for channels whose multiplier is 0."""
        return np.asarray(np.where(self.multipliers == 0, 1, -self.shifts.astype(np.int64)))

    @property
    def room(self) -> Array:
        """The largest scale bits of each channel; below `least` where it cannot be fused."""
        lengths = np.array([int(bound).bit_length() for bound in self.bounds])
        room = np.minimum(31 - lengths, MAX_TOTAL_SHIFT + 1 - self.right)
        return np.asarray(np.where(self.takes_left | (self.right >= 1), room, 0))

    @property
    def least(self) -> Array:
        """The smallest scale bits of each channel: last shifts are 1 and more."""
        return np.asarray(np.maximum(MIN_SCALE_BITS, 2 - self.right))

    def with_bits(self, bits: Array | int) -> Requantization | None:
        """The constants for sums scaled by 2**bits, one number or one for each channel; None where one has no room."""
        scale_bits = np.broadcast_to(np.asarray(bits, np.int64), self.right.shape)
        if (scale_bits > self.room).any() or (scale_bits < self.least).any():
            return None
        total = self.right + scale_bits - 1
        one = np.int64(1)
        first = np.where(self.right >= 1, one << (scale_bits - 2), 0)
        addends = first + (one << (total - 1)) + (np.int64(self.target) << total)
        return Requantization(scale_bits, self.multipliers.astype(np.int64), addends, total)

    def with_equal_bits(self) -> Requantization | None:
        """The constants with one scale for all channels, as large as possible."""
        return self.with_bits(min(int(self.room.min()), MAX_SCALE_BITS))

    def with_equal_shifts(self, wanted: int) -> Requantization | None:
        """The constants with one last shift for all channels, by a scale of its own for each; `wanted` if possible."""
        largest = int((self.right + np.minimum(self.room, MAX_SCALE_BITS)).min()) - 1
        smallest = int((self.right + self.least).max()) - 1
        if smallest > largest:  # some channel would need more than MAX_SCALE_BITS, with which weights leave int16
            return None
        return self.with_bits(max(min(wanted, largest), smallest) + 1 - self.right)


def plain_requantization(layer: PlainLayer) -> PlainRequantization:
    """How the plain kernel requantizes; results are made from the lower limit up where that is inside int8."""
    target = layer.output_zero_point - (layer.output_min if layer.limits_inside else 0)
    takes_left = not (layer.rounds_ties and (layer.shifts < 0).any())
    return PlainRequantization(layer.multipliers, layer.shifts, layer.bounds, target, takes_left)
