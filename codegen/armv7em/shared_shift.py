"""One last shift for all channels of a layer and no addends, exactly: SMMUL and SSAT are all of requantization.

A plain kernel's output is a step function of the sum: v is reached where acc >= threshold(v). Any multiplier and any
beginning of the sum do as well that give

    (start + 256 * acc) * multiplier  >=  v * 2**(32 + shift)

from the same sums on, for all v. The start, in units of 1/256 of a sum, holds the zero point and the rounding terms of
both shifts. With fewer bits in the multipliers of channels with larger right shifts, one last shift serves all of
them; a multiplier near the nominal one moves the steps a little where no start meets them all. All thresholds of all
channels are met, or the layer keeps its shifts. Where results below the zero point are seen, they do: halves that are
rounded away from zero leave a gap between the steps above it and those below that no start bridges.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import MAX_SCALE_BITS
from thimble.compiler.ir.operator import Array

SHIFTS = (10, 11, 12, 14)
"""Last shifts that are tried; most layers have constants for the first one, and then share functions."""

MAX_DISTANCE = 1024
"""Furthest from the nominal multiplier that is tried."""

MAX_CELLS = 1 << 23
"""Thresholds that are compared for one shift before it is given up: about a quarter of a second."""


@dataclass(frozen=True, slots=True)
class SharedShift:
    """Per-channel multipliers and starts, int64, and the shift of all; for sums scaled by 256."""

    multipliers: Array
    starts: Array
    shift: int


def share_shift(layer: PlainLayer) -> SharedShift | None:
    """The constants of a layer whose sums fit 24 bits; None where some channel has none that are found soon."""
    if layer.output_min < layer.output_zero_point:
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
    most = int(right.min()) + MAX_SCALE_BITS - 1
    if (m <= 0).any() or (right > 22).any() or (bounds >= 1 << 23).any() or last < first or most < 1:
        return None
    values = np.arange(first, last + 1)
    thresholds = np.clip(_thresholds(m, right, values - zero_point), -bounds[:, None], bounds[:, None] + 1)
    tried = [shift for shift in SHIFTS if shift <= most] or [most]
    found = (_constants_for(shift, m, right, bounds, values, thresholds) for shift in tried)
    return next((constants for constants in found if constants is not None), None)


def _thresholds(multipliers: Array, right: Array, steps: Array) -> Array:
    """(channels, steps): the least sums whose plain output is so many above the zero point, all at least 1."""
    m, n = multipliers[:, None], right[:, None]
    product = (steps << (31 + n)) - (np.int64(1) << (30 + n)) - np.where(n >= 1, 1 << 30, 0)
    return np.asarray(-(-product // m))


def _constants_for(
    shift: int, m: Array, right: Array, bounds: Array, values: Array, thresholds: Array
) -> SharedShift | None:
    """Constants with this last shift; thresholds (channels, values) lie within [-bounds, bounds + 1]."""
    nominal = m >> (right + MAX_SCALE_BITS - 1 - shift)
    multipliers, starts = np.zeros_like(m), np.zeros_like(m)
    missing, cells = np.arange(len(m)), 0
    for distance in _distances():
        cells += len(missing) * len(values)
        if cells > MAX_CELLS:
            return None
        tried = nominal[missing] + distance
        start, fits = _starts(tried, bounds[missing], values << (32 + shift), thresholds[missing])
        multipliers[missing[fits]], starts[missing[fits]] = tried[fits], start[fits]
        missing = missing[~fits]
        if not len(missing):
            return SharedShift(multipliers, starts, shift)
    return None


def _distances() -> Iterator[int]:
    yield 0
    for distance in range(1, MAX_DISTANCE + 1):
        yield distance
        yield -distance


def _starts(multipliers: Array, bounds: Array, wanted: Array, thresholds: Array) -> tuple[Array, Array]:
    """The least start of each channel that reaches each wanted product at its threshold, and where it is one that
    reaches none sooner, and sums fit 32 bits."""
    m, bound = np.maximum(multipliers, 1)[:, None], bounds[:, None]
    at = wanted - 256 * thresholds * m
    least = np.where(thresholds <= bound, at, -(1 << 62)).max(axis=1)
    most = np.where(thresholds > -bound, at + 256 * m - 1, 1 << 62).min(axis=1)
    start = -(-least // m[:, 0])
    in_range = (multipliers > 0) & (multipliers < 1 << 31) & (np.abs(start) + 256 * bounds + 256 < 1 << 31)
    return start, in_range & (start * m[:, 0] <= most)
