"""Random quantization parameters, weights and options that the operator rows share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.tflite_builder import ModelBuilder

Edges = tuple[int, Callable[[int, int, int, int], int]]
"""A padding code, and its output size as a function of (input, kernel, stride, dilation)."""

SAME: Edges = (0, lambda size, kernel, stride, dilation: -(-size // stride))
VALID: Edges = (1, lambda size, kernel, stride, dilation: (size - (kernel - 1) * dilation - 1) // stride + 1)


def scale(rng: np.random.Generator) -> float:
    """An activation scale, log-uniform over [0.001, 1]."""
    return float(np.float32(10 ** rng.uniform(-3, 0)))


def zero_point(rng: np.random.Generator) -> int:
    """An int8 zero point: often an edge of the range or 0."""
    return int(rng.choice([-128, 127, 0, int(rng.integers(-128, 128)), int(rng.integers(-128, 128))]))


def activation_code(rng: np.random.Generator) -> int:
    """A fused activation: NONE, RELU, RELU_N1_TO_1 or RELU6."""
    return int(rng.choice([0, 0, 1, 2, 3]))


def same_or_valid(rng: np.random.Generator) -> Edges:
    """SAME or VALID."""
    return SAME if rng.random() < 0.5 else VALID


def weights(
    m: ModelBuilder, rng: np.random.Generator, shape: tuple[int, ...], axis: int, per_axis: bool | None = None
) -> tuple[int, np.ndarray]:
    """A constant int8 weight tensor, and its scales (one, or one for each index of `axis`)."""
    per_axis = bool(rng.random() < 0.8) if per_axis is None else per_axis
    count = shape[axis] if per_axis else 1
    scales = np.float32(10 ** rng.uniform(-3, -1, count))
    data = rng.integers(-127, 128, shape)
    if rng.random() < 0.2:
        data = np.where(rng.random(shape) < 0.5, -127, 127)
    return m.tensor(shape, np.int8, scales, 0, axis=axis, data=data), scales


def bias_for(
    m: ModelBuilder, rng: np.random.Generator, scales: np.ndarray, channels: int, dtype: type = np.int32
) -> int:
    """A constant bias of some thousand units, quantized with `scales` = input scale * weight scale."""
    return m.tensor((channels,), dtype, scales, 0, data=rng.integers(-5000, 5000, channels))


def output_scale(rng: np.random.Generator, x_scale: float, w_scales: np.ndarray, taps: int) -> float:
    """A scale under which most sums of `taps` products land inside int8, and some saturate."""
    spread = x_scale * float(np.max(w_scales)) * 74 * 73 * np.sqrt(taps)
    return float(np.float32(spread / 127 * 10 ** rng.uniform(0, 0.8)))
