"""Weights of matrix products for the vectors: four output channels beside each other in every step of 16 values."""

from __future__ import annotations

import numpy as np

from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.words import int32_words
from thimble.compiler.ir.operator import Array

LANES = 16
BLOCK_CHANNELS = 4


def packed_blocks(layer: PlainLayer, rows: int, row_bytes: int) -> Array:
    """(blocks, words) int32: weights (steps, 4, 16) int8 of four channels; biases, multipliers, shifts (3, 4).

    The weights of a channel are `rows` rows, each filled up with zeros to `row_bytes`, a multiple of 16. Channels that
    are missing in the last block have weights and multipliers of 0.
    """
    blocks = -(-len(layer.weights) // BLOCK_CHANNELS)
    missing = blocks * BLOCK_CHANNELS - len(layer.weights)
    weights = layer.weights.reshape(len(layer.weights), rows, -1)
    weights = np.pad(weights, ((0, missing), (0, 0), (0, row_bytes - weights.shape[2])))
    steps = weights.reshape(blocks, BLOCK_CHANNELS, -1, LANES).swapaxes(1, 2)
    constants = np.pad(np.stack(requantization(layer)), ((0, 0), (0, missing)))
    constants = constants.reshape(3, blocks, BLOCK_CHANNELS).swapaxes(0, 1)
    words = np.ascontiguousarray(steps.reshape(blocks, -1), np.int8).view("<i4")
    return np.concatenate([words, int32_words(constants.reshape(blocks, -1))], axis=1)


def requantization(layer: PlainLayer) -> tuple[Array, Array, Array]:
    """What sums begin with, multipliers and shifts (channels,), int64; channels of multiplier 0 are not shifted."""
    shifts = np.where(layer.multipliers == 0, 0, layer.shifts)
    return layer.start, layer.multipliers.astype(np.int64), shifts.astype(np.int64)
