"""Weights and constants of depthwise convolutions along planes, as their functions read them."""

from __future__ import annotations

import numpy as np

from thimble.codegen.armv7em.depthwise_form import DepthwiseForm
from thimble.codegen.armv7em.shared_shift import SharedShift
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import Requantization, plain_requantization
from thimble.codegen.kernel_tools.words import int32_words
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.packing import pack
from thimble.compiler.ir.types import DType


def common_addend(layer: PlainLayer, form: DepthwiseForm) -> int:
    """What the addends of compact forms are made from: all of them but 2**(scale_bits - 2).

    That is 2**(total - 1) + target * 2**total, of which channels with a last shift of their own shift 2 * target + 1.
    """
    if not form.compact or form.no_addend:
        return 0
    halves = 2 * plain_requantization(layer).target + 1
    return halves << (form.total_shift - 1) if form.total_shift is not None else halves


def packed_channels(layer: PlainLayer, form: DepthwiseForm, constants: Requantization | SharedShift) -> Array:
    """(channels, words) int32: weights, then those of bias, multiplier, addend and shift that the form has."""
    if isinstance(constants, SharedShift):
        bits = special = np.full(form.channels, form.scale_bits, np.int64)
        start, more = constants.starts, []
    else:
        bits = constants.scale_bits
        special = bits if form.total_shift is not None else constants.shifts - 1
        start, more = np.zeros(form.channels, np.int64), [constants.addends, constants.shifts]
    scale = np.int64(1) << bits
    tail = [layer.start * scale + start, constants.multipliers, *more][: len(form.constants)]
    weights = _byte_weights(layer, form, special) if form.compact else _word_weights(layer, form, scale)
    return int32_words(np.concatenate([weights, np.stack(tail, axis=1)], axis=1))


def _word_weights(layer: PlainLayer, form: DepthwiseForm, scale: Array) -> Array:
    """(channels, words): words of two scaled weights."""
    weights = _kernel_rows(layer, form) * scale[:, None, None]
    if form.kernel_width == 1:
        weights = np.concatenate([weights, np.zeros_like(weights)], axis=2)
    pairs = (weights[:, :, :-1] & 0xFFFF) | (weights[:, :, 1:] & 0xFFFF) << 16
    return np.asarray(pairs.reshape(form.channels, -1))


def _byte_weights(layer: PlainLayer, form: DepthwiseForm, special: Array) -> Array:
    """(channels, words): kernel rows as bytes or closer, and the `special` byte of each channel."""
    rows = _kernel_rows(layer, form).astype(np.int8)
    packed = pack(rows, DType(f"int{form.weight_bits}")) if form.is_narrow else rows.view(np.uint8)
    pitched = np.zeros((*packed.shape[:2], form.tap_row_bytes), np.uint8)
    pitched[:, :, : packed.shape[2]] = packed
    taps = np.zeros((form.channels, 4 * form.constants_at), np.uint8)
    taps[:, : pitched[0].size] = pitched.reshape(form.channels, -1)
    taps[:, form.special_at] = special
    return taps.view("<u4").astype(np.int64)


def _kernel_rows(layer: PlainLayer, form: DepthwiseForm) -> Array:
    """(channels, kernel_height, kernel_width) int64: the weights as they are cut into rows, zeros behind the last."""
    taps = np.zeros((form.channels, form.kernel_height * form.kernel_width), np.int64)
    weights = layer.weights
    if form.is_turned:
        weights = (
            weights.reshape(-1, form.kernel_width, form.kernel_height).transpose(0, 2, 1).reshape(len(weights), -1)
        )
    taps[:, : weights.shape[1]] = weights
    return taps.reshape(form.channels, form.kernel_height, form.kernel_width)
