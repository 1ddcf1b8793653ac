"""CONV_2D by Winograd's F(4x4, 3x3) on Armv7E-M: which layers can, their transformed weights, kernel and call."""

from __future__ import annotations

import numpy as np

from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.packing import call_arguments, channel_pairs, lanes
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.winograd import POSITIONS, SCALE_BITS, TILE_BYTES, WinogradForm
from thimble.codegen.armv7em.winograd_products import products_listing
from thimble.codegen.armv7em.winograd_transforms import input_listing, output_listing
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import plain_requantization
from thimble.codegen.kernel_tools.sizes import Sizes
from thimble.codegen.kernel_tools.words import int32_words
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import Array, GeneratedKernel, KernelCall
from thimble.compiler.ops.conv_2d import Conv2D

MAX_BATCH_BYTES = 28 << 10
"""Most scratch for tiles that are transformed at once."""

G = np.array([[3, 0, 0], [1, 1, 1], [1, -1, 1], [1, 2, 4], [1, -2, 4], [0, 0, 3]], np.int64)
"""The transform of weights, winograd.py; its rows lack 4, -6, -6, 24, 24 and 1 as divisors, up to a factor of 3."""


def winograd_bytes(site: Site) -> int:
    """Flash of the transformed weights of a layer with weights (outputs, 3, 3, channels)."""
    outputs, _, _, channels = site.input(1).type.shape
    return -(-outputs // 2) * 4 * (POSITIONS * channels + 8)


def winograd_limit(graph: Graph, spare_bytes: int) -> int:
    """The most bytes of transformed weights a layer may have for those of all layers to take no more than the spare.

    Small layers come first: cycles saved for each byte are in proportion to the pixels of a layer.
    """
    limit = 0
    for size in sorted(winograd_bytes(site) for site in graph.sites if _is_3x3(site)):
        spare_bytes -= size
        if spare_bytes < 0:
            break
        limit = size
    return limit


def _is_3x3(site: Site) -> bool:
    return isinstance(site.op, Conv2D) and site.input(1).type.shape[1:3] == (3, 3)


def takes_winograd(sizes: Sizes, layer: PlainLayer) -> bool:
    """Whether the shape suits: 3x3, stride 1, whole words of channels, four outputs in a row, limits of int8."""
    ones = ("stride_height", "stride_width", "dilation_height", "dilation_width")
    square = (sizes["kernel_height"], sizes["kernel_width"]) == (3, 3) and all(sizes[name] == 1 for name in ones)
    words = sizes["input_channels"] % 4 == 0 and sizes["output_width"] >= 4
    return square and words and sizes["pad_left"] <= 2 and not layer.limits_inside


def winograd_call(layer: PlainLayer, sizes: Sizes, core: Core, limit_bytes: int) -> KernelCall | None:
    """The call for a whole layer; None where its sums could leave 25 bits or no batch of tiles fits the scratch."""
    constants = plain_requantization(layer).with_bits(SCALE_BITS) if takes_winograd(sizes, layer) else None
    tile_rows = _tile_rows_at_once(sizes, limit_bytes, core.loop_bytes)
    if constants is None or not tile_rows:
        return None
    form = _form(sizes, tile_rows, layer.rounds_ties, core.loop_bytes)
    dropped = ("group_channels", "output_zero_point", "output_min", "output_max")
    ones = ("kernel_height", "kernel_width", "stride_height", "stride_width", "dilation_height", "dilation_width")
    params = (
        *((name, value) for name, value in sizes.items() if name not in (*dropped, *ones)),
        ("tiles", form.tiles),
        ("tile_rows", tile_rows),
        ("rounds_ties", int(layer.rounds_ties)),
    )
    tail = np.stack([_start(layer), constants.multipliers, constants.addends, constants.shifts], axis=1)
    words = _words(layer.weights.reshape(form.outputs, 3, 3, form.channels), tail)
    arguments = call_arguments(words, _batch_bytes(form))
    return KernelCall(f"conv_2d_winograd_dsp_{form.name}", params, arguments, winograd_source(form, core.has_fpu))


def winograd_source(form: WinogradForm, has_fpu: bool) -> GeneratedKernel:
    """The files of kernel conv_2d_winograd_dsp_<form>: the assembly, and the kernel that uses it or its twin."""
    name = f"thimble_conv_2d_winograd_dsp_{form.name}"
    makers = (input_listing, products_listing, output_listing)
    assembly = "\n\n".join(make(form, has_fpu).text for make in makers)
    files = kernel_files(name, "conv_2d_winograd_dsp", form=form, assembly=assembly)
    return GeneratedKernel(files, needs=("winograd_dsp",))


def _form(sizes: Sizes, tile_rows: int, rounds_ties: bool, loop_bytes: int) -> WinogradForm:
    tiles = -(-tile_rows * -(-sizes["output_width"] // 4) // 4) * 4
    outputs = sizes["output_channels"]
    return WinogradForm(sizes["input_channels"], outputs, sizes["output_width"], tiles, rounds_ties, loop_bytes)


def _batch_bytes(form: WinogradForm) -> int:
    """Scratch: transformed inputs, products of a pair of channels, six rows of input with their borders."""
    return POSITIONS * form.position_bytes + form.tiles * TILE_BYTES + 6 * form.window_bytes


def _tile_rows_at_once(sizes: Sizes, limit_bytes: int, loop_bytes: int) -> int:
    """Rows of tiles in a batch, by the fewest cycles; 0 where none fits.

    A position of four tiles takes about 8 cycles a channel and 25 more, its weights from flash 3.5 a channel and batch.
    """
    rows, depth = -(-sizes["output_height"] // 4), sizes["input_channels"]
    best = (0.0, 0)
    for count in range(1, rows + 1):
        form = _form(sizes, count, False, loop_bytes)
        if not form.fits or _batch_bytes(form) > min(MAX_BATCH_BYTES, limit_bytes):
            break
        cycles = -(-rows // count) * (form.tiles / 4 * (8 * depth + 25) + 3.5 * depth)
        best = min(best, (cycles, count)) if best[1] else (cycles, count)
    return best[1]


def _start(layer: PlainLayer) -> Array:
    """What 64 times the sum over inputs with 128 added begins with."""
    zero = 128 + layer.input_zero_point
    return np.asarray((layer.bias - zero * layer.weights.sum(axis=1, dtype=np.int64)) << SCALE_BITS)


def _words(weights: Array, tail: Array) -> Array:
    """(ceil(outputs / 2), 36 * channels + 8) int32: words of two weights (36, channels / 2, 2), constants (2, 4).

    Channels 4 i, 4 i + 2 share a word, and 4 i + 1, 4 i + 3 the next, as bytes of inputs are taken apart.
    Positions come column by column.
    """
    outputs, channels = len(weights), weights.shape[-1]
    transformed = np.einsum("ia,oabc,jb->ojic", G, weights.astype(np.int64), G)
    quarters = transformed.reshape(outputs, POSITIONS, channels // 4, 4)
    words = lanes(quarters[..., :2], quarters[..., 2:]).reshape(outputs, POSITIONS, channels // 2)
    order = channel_pairs(outputs)
    parts = (words[order].transpose(0, 2, 3, 1), tail[order])
    return int32_words(np.concatenate([part.reshape(len(order), -1) for part in parts], axis=1))
