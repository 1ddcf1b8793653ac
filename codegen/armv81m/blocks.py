"""Weights of matrix products for the vectors: four output channels beside each other in every step of 16 values."""

from __future__ import annotations

import numpy as np

from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.words import int32_words
from thimble.compiler.ir.operator import Array

LANES = 16
BLOCK_CHANNELS = 4


def packed_blocks(layer: PlainLayer, rows: int, row_bytes: int) -> Array:
    """(blocks, words) int32: weights (steps, 4, 16) int8 of four channels; biases, multipliers (2, 4); shifts (4) int8.

    The weights of a channel are `rows` rows, each filled up with zeros to `row_bytes`, a multiple of 16. Channels that
    are missing in the last block have weights and multipliers of 0.
    """
    blocks = -(-len(layer.weights) // BLOCK_CHANNELS)
    missing = blocks * BLOCK_CHANNELS - len(layer.weights)
    weights = layer.weights.reshape(len(layer.weights), rows, -1)
    weights = np.pad(weights, ((0, missing), (0, 0), (0, row_bytes - weights.shape[2])))
    steps = weights.reshape(blocks, BLOCK_CHANNELS, -1, LANES).swapaxes(1, 2)
    start, multipliers, shifts = (
        np.pad(column, (0, missing)).reshape(blocks, BLOCK_CHANNELS) for column in requantization(layer)
    )
    parts = (_words(steps.reshape(blocks, -1)), int32_words(start), int32_words(multipliers), _words(shifts))
    return np.concatenate(parts, axis=1)


def _words(values: Array) -> Array:
    """int8 values (blocks, n), n a multiple of 4, as int32 words."""
    return np.ascontiguousarray(values, np.int8).view("<i4")


def requantization(layer: PlainLayer) -> tuple[Array, Array, Array]:
    """What sums begin with, multipliers and shifts (channels,), int64; channels of multiplier 0 are not shifted."""
    shifts = np.where(layer.multipliers == 0, 0, layer.shifts)
    return layer.start, layer.multipliers.astype(np.int64), shifts.astype(np.int64)
