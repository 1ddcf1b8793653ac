"""One last shift for all channels of a layer, exactly: SSAT and USAT then do it in passing.

Where nothing below the zero point is seen, a plain kernel's output is a step function of the sum: v is reached where

    acc >= ceil(((v - zero point) * 2**(31+n) - 2**(30+n) - 2**30) / m)

with m the multiplier and n the right shift; for n <= 0, a left shift, the last term is not there. Any multiplier,
addend and beginning of the sum do as well that give

    (start + 256 * acc) * multiplier + addend * 2**32  >=  v * 2**(32 + shift)

from the same sums on. With fewer bits in the multipliers of channels with larger n, one shift serves all; the start, in
units of 1/256 of a sum, reaches between the addends. All thresholds of all channels are met, or the layer keeps its
shifts.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import MAX_SCALE_BITS, MAX_TOTAL_SHIFT
from thimble.compiler.ir.operator import Array

MAX_CHANNELS = 2048
NEIGHBOURS = (0, 1, -1, 2, -2, 3, -3)
"""Distances from the nominal multiplier that are tried."""


@dataclass(frozen=True, slots=True)
class SharedShift:
    """Per-channel multipliers, addends and starts, int64, and the shift of all; for sums scaled by 256."""

    multipliers: Array
    addends: Array
    starts: Array
    shift: int


def share_shift(layer: PlainLayer) -> SharedShift | None:
    """The constants of a layer whose sums fit 24 bits; None where some channel has none, or too many channels do."""
    if layer.output_min < layer.output_zero_point or len(layer.multipliers) > MAX_CHANNELS:
        return None
    base = layer.output_min if layer.limits_inside else 0
    steps = layer.output_min + 1 - base, layer.output_max - base, layer.output_zero_point - base
    arrays = (layer.multipliers, layer.shifts, layer.bounds)
    return _find(*(np.ascontiguousarray(array, np.int64).tobytes() for array in arrays), *steps)


@lru_cache(maxsize=256)
def _find(
    multiplier_bytes: bytes, shift_bytes: bytes, bound_bytes: bytes, first: int, last: int, zero_point: int
) -> SharedShift | None:
    m, shifts, bounds = (np.frombuffer(raw, np.int64) for raw in (multiplier_bytes, shift_bytes, bound_bytes))
    right = -shifts
    shift = int(right.min()) + MAX_SCALE_BITS - 1
    if (m <= 0).any() or last < first:
        return None
    if not 1 <= shift <= MAX_TOTAL_SHIFT:
        return None
    values = np.arange(first, last + 1)
    thresholds = _thresholds(m, right, values - zero_point)
    wanted = (values << (32 + shift)) * np.ones((len(m), 1), np.int64)
    reached = thresholds <= bounds[:, None]
    found = np.zeros((3, len(m)), np.int64)
    missing = np.ones(len(m), bool)
    for distance in NEIGHBOURS:
        factors = (m >> (right - right.min())) + distance
        at = wanted - 256 * thresholds * factors[:, None]
        least = np.where(reached, at, -(1 << 62)).max(axis=1)
        most = np.where(reached, at, (1 << 62) - 256 * int(factors.max())).min(axis=1) + 256 * factors - 1
        starts = np.arange(256) * factors[:, None]
        addends = -((starts - least[:, None]) >> 32)
        hits = (addends << 32) + starts <= most[:, None]
        reach = (256 * bounds + 256) * factors >> 32
        hits &= reach[:, None] + np.abs(addends) < (1 << 31) - 1
        new = missing & hits.any(axis=1) & (factors > 0) & (factors < 1 << 31)
        start = hits.argmax(axis=1)
        chosen = np.stack([factors, addends[np.arange(len(m)), start], start])
        found[:, new] = chosen[:, new]
        missing &= ~new
        if not missing.any():
            return SharedShift(found[0], found[1], found[2], shift)
    return None


def _thresholds(multipliers: Array, right: Array, steps: Array) -> Array:
    """(channels, steps): the least sums whose plain output is so many above the zero point, all at least 1."""
    m, n = multipliers[:, None], right[:, None]
    product = (steps << (31 + n)) - (np.int64(1) << (30 + n)) - np.where(n >= 1, 1 << 30, 0)
    return np.asarray(-(-product // m))
