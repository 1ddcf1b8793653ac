"""Ranges from histograms: what each observer keeps and cuts."""

from __future__ import annotations

import numpy as np
import pytest

from thimble.compiler.ir.types import DType
from thimble.quantize.observers import Histogram, Observer, Range, choose_range, squared_error
from thimble.quantize.parameters import affine, covered, store

LEVELS = 256


def heavy_tailed(outlier: float = 40.0) -> np.ndarray:
    """Normal numbers with one far outlier on the right."""
    values = np.random.default_rng(3).normal(size=100_000)
    values[0] = outlier
    return values.astype(np.float32)


def test_min_max_keeps_everything() -> None:
    values = heavy_tailed()
    chosen = choose_range(Histogram.of(values), Observer.MIN_MAX, LEVELS)
    assert (chosen.low, chosen.high) == (float(values.min()), 40.0)


@pytest.mark.parametrize(
    ("observer", "levels"), [(Observer.PERCENTILE, 256), (Observer.ENTROPY, 256), (Observer.MSE, 16)]
)
def test_others_cut_an_outlier(observer: Observer, levels: int) -> None:
    """With 256 levels the squared error of the one outlier would be larger than what cutting it saves."""
    chosen = choose_range(Histogram.of(heavy_tailed()), observer, levels)
    assert 2.5 < chosen.high < 20
    assert -6 < chosen.low < -2


def test_mse_has_the_least_error_on_the_values_themselves() -> None:
    values = np.random.default_rng(6).standard_t(4, size=100_000)

    def error(observer: Observer) -> float:
        quant = affine(choose_range(Histogram.of(values), observer, LEVELS), DType.INT8)
        stored = store(values, quant, DType.INT8)
        return float((((stored.astype(np.float64) - quant.zero_point) * quant.scale - values) ** 2).sum())

    errors = {observer: error(observer) for observer in Observer}
    assert errors[Observer.MSE] == min(errors.values())
    assert errors[Observer.MSE] < 0.9 * errors[Observer.MIN_MAX]


def test_expected_error_is_that_of_the_values() -> None:
    values = np.random.default_rng(4).normal(size=50_000)
    candidate = Range(-2.0, 2.0)
    step = 4.0 / (LEVELS - 1)
    clipped = np.clip(values, -2, 2)
    actual = ((np.rint((clipped + 2) / step) * step - 2 - values) ** 2).sum()
    assert squared_error(Histogram.of(values), candidate, LEVELS) == pytest.approx(actual, rel=0.02)


@pytest.mark.parametrize("observer", Observer)
def test_ranges_hold_zero(observer: Observer) -> None:
    chosen = choose_range(Histogram.of(np.linspace(5, 6, 1000, dtype=np.float32)), observer, LEVELS)
    assert chosen.low == 0
    assert 5 < chosen.high <= 6


@pytest.mark.parametrize("observer", Observer)
def test_constant_values(observer: Observer) -> None:
    assert choose_range(Histogram.of(np.full(10, -3.0)), observer, LEVELS) == Range(-3.0, 0.0)
    assert choose_range(Histogram.of(np.zeros(10)), observer, LEVELS) == Range(0.0, 0.0)


@pytest.mark.parametrize("dtype", [DType.INT8, DType.INT16])
@pytest.mark.parametrize("wanted", [Range(-1.0, 3.0), Range(0.0, 6.0), Range(-2.0, 0.0), Range(0.5, 4.0)])
def test_affine_covers_its_range_and_zero(wanted: Range, dtype: DType) -> None:
    quant = affine(wanted, dtype)
    reach = covered(quant, dtype)
    assert reach.low <= wanted.low + quant.scale / 2
    assert reach.high >= wanted.high - quant.scale / 2
    assert store(np.zeros(1), quant, dtype)[0] == quant.zero_point
    assert dtype is DType.INT8 or quant.zero_point == 0


def test_affine_of_nothing_is_usable() -> None:
    assert affine(Range(0.0, 0.0), DType.INT8).scale > 0
    assert affine(Range(0.0, 1e-45), DType.INT8).scale > 0
    assert affine(Range(0.0, 0.0), DType.INT16).scale > 0


def test_symmetric_has_the_zero_point_0() -> None:
    quant = affine(Range(-1.0, 3.0), DType.INT8, symmetric=True)
    assert quant.zero_point == 0
    assert quant.scale == pytest.approx(3 / 127)
