"""Rows for operators that move elements without computing on them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from tests.ops.case import OpCase
from tests.ops.draws import scale, zero_point
from tests.tflite_builder import ModelBuilder


def shape_of(rng: np.random.Generator, low: int, high: int, limit: int = 5) -> tuple[int, ...]:
    """A shape of `low` to `high` dimensions, each 1 to `limit`."""
    return tuple(int(d) for d in rng.integers(1, limit + 1, int(rng.integers(low, high + 1))))


def moved(m: ModelBuilder, rng: np.random.Generator, dtype: Any, shapes: Sequence[Sequence[int]]) -> list[int]:
    """Activation tensors of one type and, where it is a quantized one, one scale and zero point."""
    quantized = np.dtype(dtype) in (np.int8, np.int16)
    x_scale = scale(rng) if quantized else None
    zero = zero_point(rng) if np.dtype(dtype) == np.int8 else 0
    return [m.tensor(shape, dtype, x_scale, zero) for shape in shapes]


def reshape(rng: np.random.Generator, dtype: Any = np.int8) -> bytes:
    """A shape input with or without -1, or the shape in the options only, or in the output tensor only."""
    shape = shape_of(rng, 1, 5)
    order = rng.permutation(np.array(shape))
    cuts = np.sort(rng.integers(0, len(shape) + 1, int(rng.integers(0, 4))))
    new = [prod(int(d) for d in part) for part in np.split(order, cuts)]
    m = ModelBuilder()
    x, y = moved(m, rng, dtype, [shape, new])
    asked = list(new)
    if rng.random() < 0.4:
        asked[int(rng.integers(len(asked)))] = -1
    where = rng.integers(4)
    inputs = [x] if where > 1 else [x, m.const(asked)]
    if where % 2:
        m.op("RESHAPE", inputs, [y], "ReshapeOptions", newShape=asked)
    else:
        m.op("RESHAPE", inputs, [y])
    m.interface([x], [y])
    return m.build()


CASES = (OpCase("RESHAPE", reshape),)
