"""Requantization fused into one SMMLA, with the same bytes as thimble_requantize, and the proof that it is.

With acc the sum, m the multiplier, n >= 1 the right shift and s = scale_bits >= 2:

    high = floor(acc * 2**s * m / 2**32)                       what SMMLA adds up
    (high + 2**(s-2)) >> (s-1) = floor((acc * m + 2**30) / 2**31)      gemmlowp's doubling high multiplication
    y = (high + 2**(s-2) + 2**(n+s-2) + zp * 2**(n+s-1)) >> (n+s-1)    and its rounding shift, zero point included

Halves of the last shift are rounded away from zero below zero: 2**(s-1) less where acc < 0. Where acc < 0 gives a high
product of 0 that changes nothing, since (2**(n-1) - 1) >> n is 0 too; and below a lower output limit at the zero point
nothing of it is seen.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.operator import Array

FOLDED_SCALE_BITS = 8
MAX_TOTAL_SHIFT = 22
"""Largest n + s - 1: then zero point, rounding terms and high product together stay below 2**31."""


@dataclass(frozen=True, slots=True)
class Requantization:
    """Per-channel constants for sums that are scaled by 2**scale_bits: int32 multipliers, addends and right shifts."""

    scale_bits: int
    multipliers: Array
    addends: Array
    shifts: Array


def fuse(
    multipliers: Array, shifts: Array, zero_point: int, sum_bounds: Array, scale_bits: int | None
) -> Requantization | None:
    """The constants of channels whose sums lie within +-`sum_bounds`; None where they would not give the same bytes.

    `multipliers` and `shifts` are the plain kernel's. `scale_bits` None chooses the largest possible, at most 8.
    """
    right = np.where(multipliers == 0, 1, -shifts.astype(np.int64))
    if (right < 1).any():
        return None
    largest_sum = int(sum_bounds.max(initial=0))
    room = min(31 - largest_sum.bit_length(), MAX_TOTAL_SHIFT + 1 - int(right.max(initial=1)))
    bits = min(room, FOLDED_SCALE_BITS) if scale_bits is None else scale_bits
    if bits < 2 or bits > room:
        return None
    total = right + bits - 1
    addends = (1 << (bits - 2)) + (np.int64(1) << (total - 1)) + (np.int64(zero_point) << total)
    return Requantization(bits, multipliers.astype(np.int64), addends, total)


def sum_bounds(weights: Array, bias: Array, zero_point: int) -> Array:
    """The largest |bias + sum of w * (x - zero_point)| that any int8 x gives, for each row of `weights`."""
    w = weights.astype(np.int64)
    positive, negative = np.maximum(w, 0).sum(axis=1), np.minimum(w, 0).sum(axis=1)
    low, high = -128 - zero_point, 127 - zero_point
    largest = bias + positive * high + negative * low
    smallest = bias + positive * low + negative * high
    return np.asarray(np.maximum(np.abs(largest), np.abs(smallest)))
