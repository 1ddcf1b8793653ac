"""One SMMLA gives the plain kernel's bytes, for right shifts and for left ones, which few bits make."""

from __future__ import annotations

import numpy as np
import pytest

from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import plain_requantization
from thimble.compiler.ops.fixed_point import requantize


def _layer(rng: np.random.Generator, shifts: np.ndarray, output_min: int) -> PlainLayer:
    channels = len(shifts)
    return PlainLayer(
        weights=rng.integers(-8, 8, (channels, 36)).astype(np.int8),
        bias=rng.integers(-200, 200, channels),
        multipliers=rng.integers(1 << 30, 1 << 31, channels),
        shifts=shifts,
        input_zero_point=int(rng.integers(-8, 8)),
        output_zero_point=int(rng.integers(-40, 40)) if output_min == -128 else output_min,
        output_min=output_min,
        output_max=127,
    )


@pytest.mark.parametrize(("low", "high"), [(1, 9), (-4, 1), (-4, 9)])
@pytest.mark.parametrize("output_min", [-128, -3])
def test_all_sums_give_the_plain_byte(low: int, high: int, output_min: int) -> None:
    taken = 0
    for seed in range(10):
        rng = np.random.default_rng([seed, low + 8, high])
        layer = _layer(rng, -rng.integers(low, high, 16), output_min)
        constants = plain_requantization(layer).with_equal_bits()
        if constants is None:
            continue
        taken += 1
        bounds = int(layer.bounds.max())
        sums = np.broadcast_to(np.arange(-bounds, bounds + 1), (16, 2 * bounds + 1))
        sums = np.clip(sums, -layer.bounds[:, None], layer.bounds[:, None]).astype(np.int64)
        scaled = sums << constants.scale_bits[:, None]
        ties = np.where(layer.rounds_ties & (sums < 0), 1 << (constants.uniform_bits - 1), 0)
        high_words = (scaled * constants.multipliers[:, None] >> 32) + constants.addends[:, None] - ties
        base = layer.output_min if layer.limits_inside else 0
        made = np.clip((high_words >> constants.shifts[:, None]) + base, layer.output_min, layer.output_max)
        plain = requantize(sums, layer.multipliers[:, None], layer.shifts[:, None].astype(np.int64))
        assert (made == np.clip(plain + layer.output_zero_point, layer.output_min, layer.output_max)).all()
    mixes_below = output_min == -128 and low < 1 < high - 1
    assert taken == 0 if mixes_below else taken > 5


def test_left_shifts_beside_right_ones_below_the_zero_point_are_left_alone() -> None:
    rng = np.random.default_rng(1)
    assert plain_requantization(_layer(rng, np.array([2, -3, -4]), -128)).with_equal_bits() is None
    assert plain_requantization(_layer(rng, np.array([2, -3, -4]), -3)).with_equal_bits() is not None
