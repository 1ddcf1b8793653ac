"""One last shift for all channels gives the plain kernel's bytes at every sum where they change."""

from __future__ import annotations

import numpy as np
import pytest

from thimble.codegen.armv7em.shared_shift import share_shift
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.compiler.ops.fixed_point import requantize


def _layer(rng: np.random.Generator, channels: int, spread: int, zero_point: int, high: int) -> PlainLayer:
    """A layer with output limits from its zero point up, whose channels differ by up to `spread` bits in scale."""
    shifts = -rng.integers(7, 8 + spread, channels)
    return PlainLayer(
        weights=rng.integers(-127, 128, (channels, 72)).astype(np.int8),
        bias=rng.integers(-20000, 20000, channels),
        multipliers=rng.integers(1 << 30, 1 << 31, channels),
        shifts=shifts,
        input_zero_point=int(rng.integers(-128, 128)),
        output_zero_point=zero_point,
        output_min=zero_point,
        output_max=high,
    )


def _bytes_at(layer: PlainLayer, sums: np.ndarray) -> np.ndarray:
    """What the plain kernel makes of sums (channels, n)."""
    scaled = requantize(sums, layer.multipliers[:, None], layer.shifts[:, None].astype(np.int64))
    return np.clip(scaled + layer.output_zero_point, layer.output_min, layer.output_max)


@pytest.mark.parametrize(("zero_point", "high"), [(-128, 127), (-128, 100), (3, 127), (-20, 40)])
@pytest.mark.parametrize("spread", [0, 3, 6])
def test_all_sums_near_a_change_and_at_the_bounds_give_the_same_byte(spread: int, zero_point: int, high: int) -> None:
    taken = 0
    for seed in range(12):
        rng = np.random.default_rng([seed, spread, high + 128])
        layer = _layer(rng, 24, spread, zero_point, high)
        found = share_shift(layer)
        if found is None:
            continue
        taken += 1
        bounds = layer.bounds[:, None]
        changes = np.linspace(-1, 1, 4001) * bounds
        sums = np.unique(np.concatenate([changes.astype(np.int64), -bounds, bounds], axis=1), axis=1)
        steps = _changes(layer)
        sums = np.concatenate([sums, *(np.clip(steps + d, -bounds, bounds) for d in (-1, 0, 1))], axis=1)
        product = (found.starts[:, None] + 256 * sums) * found.multipliers[:, None]
        assert np.abs(found.starts[:, None] + 256 * sums).max() < 1 << 31
        high_words = product >> 32
        base = layer.output_min if layer.limits_inside else 0
        made = np.clip((high_words >> found.shift) + base, layer.output_min, layer.output_max)
        assert (made == _bytes_at(layer, sums)).all()
    assert taken >= 10


def _changes(layer: PlainLayer) -> np.ndarray:
    """(channels, 255) the least sum that gives at least each byte, by bisection."""
    wanted = np.arange(-127, 128)
    low = np.broadcast_to(-layer.bounds[:, None] - 1, (len(layer.bounds), 255)).copy()
    high = -low
    while (high - low > 1).any():
        middle = (low + high) // 2
        reached = _bytes_at(layer, middle) >= wanted
        high, low = np.where(reached, middle, high), np.where(reached, low, middle)
    return high


def test_layers_with_halves_below_zero_to_round_keep_their_shifts() -> None:
    layer = _layer(np.random.default_rng(0), 4, 0, 0, 127)
    assert share_shift(layer) is not None
    lower = PlainLayer(**{name: getattr(layer, name) for name in PlainLayer.__slots__} | {"output_min": -128})
    assert share_shift(lower) is None
