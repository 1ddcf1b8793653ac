"""CONV_2D on Armv7E-M: which layers the packed matrix product takes, their packed weights and their kernel call."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.matmul import UNROLL, MatmulForm, conv_2d_source
from thimble.codegen.armv7em.plain_layer import PlainLayer, plain_layer
from thimble.codegen.armv7em.requantize import MAX_SCALE_BITS, Requantization
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import (
    Array,
    EndRow,
    FirstRow,
    InputRows,
    KernelCall,
    OutputRows,
    Scratch,
    Table,
)

PANEL_BYTES = 4608
"""Most scratch for the columns of one matrix product, unless four columns alone need more."""

MAX_DEPTH = 1 << 13
"""Deepest window taken: its four columns take 64 KiB of scratch."""


MAX_KERNEL_HEIGHT = 16
"""Highest window taken: THIMBLE_MAX_KERNEL_HEIGHT in the runtime."""


@dataclass(frozen=True, slots=True)
class PackedMatmul:
    """A layer's weights as its matrix product reads them: int32 words."""

    form: MatmulForm
    words: Array


def specialise_conv_2d(site: Site, call: KernelCall, core: Core) -> KernelCall | None:
    """The packed matrix product in place of thimble_conv_2d_s8; None where its preconditions do not hold."""
    layer = plain_layer(site, call, channel_axis=0)
    if layer is None or not _is_taken({name: value for name, value in call.params if isinstance(value, int)}):
        return None
    packed = pack_matmul(layer, core)
    if packed is None:
        return None
    depth = -(-layer.weights.shape[1] // 4) * 4
    columns = columns_of(depth, site.output().type.elements // len(layer.weights))
    kept = tuple((name, value) for name, value in call.params if name not in ("group_channels", "output_zero_point"))
    return KernelCall(
        kernel=f"conv_2d_dsp_{packed.form.name}",
        params=(*kept, ("depth", depth), ("columns", columns), ("folded", int(packed.form.folded))),
        arguments=(
            InputRows(0),
            Table("packed", packed.words),
            Scratch(2 * columns * depth + depth, "uint32_t"),
            OutputRows(0),
            FirstRow(),
            EndRow(),
        ),
        source=conv_2d_source(packed.form),
    )


def _is_taken(sizes: dict[str, int]) -> bool:
    return sizes["group_channels"] == sizes["input_channels"] and sizes["kernel_height"] <= MAX_KERNEL_HEIGHT


def columns_of(depth: int, pixels: int) -> int:
    """Columns of one matrix product: more of them read the weights from flash less often."""
    fitting = max(PANEL_BYTES // (2 * depth) // 4 * 4, 4)
    return min(fitting, 16, -(-pixels // 4) * 4)


def pack_matmul(layer: PlainLayer, core: Core) -> PackedMatmul | None:
    """A layer's weights, bias and requantization, packed; None where the bytes could not be proved to be equal."""
    channels, depth = layer.weights.shape
    if channels < 2 or depth > MAX_DEPTH:
        return None
    plain = layer.requantization
    folded = plain.with_bits(MAX_SCALE_BITS) if layer.weights.min() >= -127 else None
    constants = folded or plain.with_equal_bits()
    if constants is None:
        return None
    padded = np.zeros((channels, -(-depth // 4) * 4), np.int64)
    padded[:, :depth] = layer.weights
    form = MatmulForm(
        folded=folded is not None,
        first_steps=padded.shape[1] // 4 % UNROLL,
        scale_bits=constants.uniform_bits,
        rounds_ties=layer.rounds_ties,
        clamps=layer.limits_inside,
        has_fpu=core.has_fpu,
    )
    return PackedMatmul(form, _words(padded, layer.start, constants, form.folded))


def _words(weights: Array, start: Array, constants: Requantization, folded: bool) -> Array:
    """(ceil(channels / 2), 8 + depth / 2) int32: bias (2), words of four weights (depth / 4, 2), constants (2, 3).

    Weight bytes are w0, w1, w2, w3 as they are, or the lanes 256 * w1 + w0 and 256 * w3 + w2 where `folded`. The last
    pair of an odd number of channels holds the last channel but one again.
    """
    channels, depth = weights.shape
    if folded:
        lanes = 256 * weights[:, 1::2] + weights[:, ::2]
        start = 256 * start - 127 * weights[:, ::2].sum(axis=1)
        words = _unsigned(lanes[:, ::2], 16) | _unsigned(lanes[:, 1::2], 16) << 16
    else:
        quarters = [_unsigned(weights[:, i::4], 8) << 8 * i for i in range(4)]
        words = quarters[0] | quarters[1] | quarters[2] | quarters[3]
    order = np.minimum(np.arange(0, channels, 2)[:, None] + [0, 1], [channels - 2, channels - 1])
    tail = np.stack([constants.multipliers, constants.addends, constants.shifts], axis=1)
    parts = (start[order], words[order].transpose(0, 2, 1), tail[order])
    packed = np.concatenate([part.reshape(len(order), -1) for part in parts], axis=1)
    return int32_words(packed)


def int32_words(values: Array) -> Array:
    """Values modulo 2**32 as int32."""
    return np.asarray(_unsigned(values, 32).astype(np.uint32).view(np.int32))


def _unsigned(values: Array, bits: int) -> Array:
    """Values modulo 2**bits, not negative."""
    return np.asarray(values & ((1 << bits) - 1))
