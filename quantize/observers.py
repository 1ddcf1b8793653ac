"""From the values that calibration saw of a tensor to the range that its integers shall cover."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

import numpy as np

from thimble.compiler.ir.operator import Array

BINS = 2048
"""Bins of a histogram; 8 for each level of int8."""

PERCENTILE = 99.99
"""Share in percent of a tensor's values that the percentile observer keeps, half of the rest cut on each side."""

_SHRINKS = np.linspace(1.0, 0.05, 96)
"""Candidate ends of a range, as shares of the largest value seen."""


class Observer(Enum):
    """How a range is chosen from a histogram."""

    MIN_MAX = "min-max"
    PERCENTILE = "percentile"
    MSE = "mse"
    ENTROPY = "entropy"


@dataclass(frozen=True, slots=True)
class Range:
    """Real numbers from `low` to `high`, which integers shall cover."""

    low: float
    high: float

    def union(self, other: Range) -> Range:
        """The smallest range that covers both."""
        return Range(min(self.low, other.low), max(self.high, other.high))

    @property
    def with_zero(self) -> Range:
        """The range widened to hold 0, which padding and fused activations need exactly."""
        return Range(min(self.low, 0.0), max(self.high, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """How often values of a tensor fell into each of `counts` bins of one width between `low` and `high`."""

    low: float
    high: float
    counts: Array

    @staticmethod
    def of(values: Array) -> Histogram:
        """The histogram of an array of finite numbers, which must not be empty."""
        low, high = float(values.min()), float(values.max())
        counts, _ = np.histogram(values, BINS, (low, high)) if high > low else (np.array([values.size]), None)
        return Histogram(low, high, counts)

    @property
    def range(self) -> Range:
        """From the smallest to the largest value."""
        return Range(self.low, self.high)

    @property
    def centres(self) -> Array:
        """The middle of each bin."""
        count = len(self.counts)
        return self.low + (np.arange(count) + 0.5) * (self.high - self.low) / count


def choose_range(histogram: Histogram, observer: Observer, levels: int) -> Range:
    """The range that `observer` finds best for integers of `levels` steps; it holds 0."""
    if histogram.low == histogram.high:
        return histogram.range.with_zero
    return _CHOICES[observer](histogram, levels).with_zero


def _min_max(histogram: Histogram, levels: int) -> Range:
    return histogram.range


def _percentile(histogram: Histogram, levels: int) -> Range:
    """Both tails cut so that PERCENTILE of the values are left."""
    shares = np.cumsum(histogram.counts) / histogram.counts.sum()
    tail = (1 - PERCENTILE / 100) / 2
    width = (histogram.high - histogram.low) / len(histogram.counts)
    first, last = np.searchsorted(shares, tail), np.searchsorted(shares, 1 - tail)
    return Range(histogram.low + float(first) * width, histogram.low + float(last + 1) * width)


def _mse(histogram: Histogram, levels: int) -> Range:
    """The least expected squared error, of rounding inside of the range and of clipping outside."""
    return _search(histogram, lambda candidate: squared_error(histogram, candidate, levels))


def _entropy(histogram: Histogram, levels: int) -> Range:
    """The least Kullback-Leibler divergence between the values and their integers.

    Source: 8-bit inference with TensorRT (Migacz, GTC 2017), with both ends of the range free.
    """
    return _search(histogram, lambda candidate: _divergence(histogram, candidate, levels))


_CHOICES: dict[Observer, Callable[[Histogram, int], Range]] = {
    Observer.MIN_MAX: _min_max,
    Observer.PERCENTILE: _percentile,
    Observer.MSE: _mse,
    Observer.ENTROPY: _entropy,
}


def _search(histogram: Histogram, cost: Callable[[Range], float]) -> Range:
    """The cheapest range: both ends drawn in together first, then each alone."""
    whole = histogram.range.with_zero
    best = min((Range(whole.low * f, whole.high * f) for f in _SHRINKS), key=cost)
    if whole.low < 0:
        best = min((best, *(Range(whole.low * f, best.high) for f in _SHRINKS)), key=cost)
    if whole.high > 0:
        best = min((best, *(Range(best.low, whole.high * f) for f in _SHRINKS)), key=cost)
    return best


def squared_error(histogram: Histogram, candidate: Range, levels: int) -> float:
    """Sum of squared errors of all values, each taken for the middle of its bin, on `levels` steps over a range."""
    step = (candidate.high - candidate.low) / (levels - 1)
    if step <= 0:
        return float(np.inf)
    centres = histogram.centres
    outside = centres - np.clip(centres, candidate.low, candidate.high)
    return float((histogram.counts * np.where(outside == 0, step * step / 12, outside * outside)).sum())


def _divergence(histogram: Histogram, candidate: Range, levels: int) -> float:
    """KL divergence of the clipped values' distribution from what is left of it on `levels` steps."""
    step = (candidate.high - candidate.low) / (levels - 1)
    if step <= 0:
        return float(np.inf)
    inside = np.clip(histogram.centres, candidate.low, candidate.high)
    bins = len(histogram.counts)
    place = np.clip(((inside - histogram.low) / (histogram.high - histogram.low) * bins).astype(int), 0, bins - 1)
    clipped = np.bincount(place, histogram.counts, bins)
    within = (histogram.centres >= candidate.low) & (histogram.centres <= candidate.high)
    level = np.rint((inside - candidate.low) / step).astype(int)
    mass = np.bincount(level, np.where(within, histogram.counts, 0), levels)
    spread = np.bincount(level, within & (clipped > 0), levels)
    coarse = np.where(within & (clipped > 0), mass[level] / np.maximum(spread[level], 1), 0.0)
    p, q = clipped / clipped.sum(), coarse / max(coarse.sum(), 1.0)
    used = p > 0
    return float((p[used] * np.log(p[used] / np.maximum(q[used], 1e-12))).sum())
