"""CONV_2D straight from widened rows on Armv7E-M: which layers can, their packed weights and their kernel call."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.codegen.armv7em.conv_2d_rows import conv_2d_rows_source
from thimble.codegen.armv7em.conv_layer import ConvLayer
from thimble.codegen.armv7em.packing import PairsLayout, call_arguments, pair_words
from thimble.codegen.armv7em.pointwise import MAX_ROWS, MIN_PIXELS, PIXELS_AT_ONCE, ROWS_BYTES, pixels_portion
from thimble.codegen.armv7em.row_matmul import RowMatmulForm
from thimble.codegen.armv7em.shared_shift import SharedShift
from thimble.codegen.armv7em.windows import MAX_WORDS, Window, window_weights
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.sizes import Sizes
from thimble.compiler.ir.operator import GeneratedKernel, KernelCall

MAX_ROWS_BYTES = 1 << 16
"""Layers whose widened rows would need more than this become columns."""

PORTION_BYTES = 4096
"""Of pixels with few channels so many bytes at once, since a portion takes its time whatever its size."""

MAX_PADDING_SHARE = 3
"""Windows of several pixels with 5 channels and more become columns where padding to words adds more than a third."""

MAX_PIXELS_WITH_TAILS = 32
"""Pointwise layers of more pixels are better off without the code for one or two pixels behind the last four."""

MAX_HELD_BYTES = 2048
"""Most bytes of image rows, borders included, that are copied for a row of windows to be gathered from."""

MIN_WINDOWS = 24
"""Fewer windows at once are not worth copying weights for."""

MIN_POINTWISE_WIDTH = 24
"""Below it pixels that are made twice at the end of a row cost more than columns, which go on over rows."""


def by_rows(given: ConvLayer) -> KernelCall | None:
    """Windows of any size straight from widened rows, some rows of the output at once."""
    layer, sizes, limit = given.layer, given.sizes, given.limit_bytes
    depth, kernel = sizes["input_channels"], (sizes["kernel_height"], sizes["kernel_width"])
    dilated = (sizes["dilation_height"], sizes["dilation_width"]) != (1, 1)
    padded_well = kernel == (1, 1) or depth < 4 or -depth % 4 * MAX_PADDING_SHARE <= depth
    if dilated or depth == 1 or not padded_well or sizes["output_width"] < MIN_PIXELS:
        return None
    if kernel == (1, 1) and sizes["output_width"] % 4 and sizes["output_width"] < MIN_POINTWISE_WIDTH:
        return None
    reach = (sizes["output_width"] - 1) * sizes["stride_width"] + kernel[1]
    row_pixels = max(reach, sizes["pad_left"] + sizes["input_width"])
    pixel_bytes = 2 * -(-depth // 4) * 4
    strides = sizes["stride_height"], sizes["stride_width"]
    row_bytes = pixel_bytes * row_pixels
    form = RowMatmulForm(
        given.arithmetic,
        *kernel,
        *strides,
        pixel_bytes,
        row_bytes,
        len(layer.weights),
        max_unroll=given.core.variant.unroll,
        loop_bytes=given.core.loop_bytes,
    )
    rows = given.core.variant.at_once or _rows_at_once(
        form, given.site.output().type.rows, sizes["output_width"], limit
    )
    if not form.fits or _rows_bytes(form, rows) > min(MAX_ROWS_BYTES, limit):
        return None
    source = conv_2d_rows_source(form, given.core.has_fpu)
    return _row_call(layer, sizes, form, given.constants, source, row_pixels, rows, _rows_bytes(form, rows))


def by_flat_pixels(given: ConvLayer) -> KernelCall | None:
    """Pointwise convolutions of whole tensors: all pixels are one row."""
    layer, sizes, limit = given.layer, given.sizes, given.limit_bytes
    depth, pixels = sizes["input_channels"], given.pixels
    if not given.keeps_pixels or depth == 1 or pixels < MIN_PIXELS:
        return None
    unroll = given.core.variant.unroll
    pixel_bytes, room = 8 * -(-depth // 4), given.core.loop_bytes
    form = RowMatmulForm(given.arithmetic, 1, 1, 1, 1, pixel_bytes, 0, len(layer.weights), False, unroll, room)
    form = _with_tails(form, pixels)
    spare = _rows_bytes(form, 1)
    most = (min(ROWS_BYTES, limit) - spare) // form.pixel_bytes
    wanted = max(PIXELS_AT_ONCE, PORTION_BYTES // form.pixel_bytes)
    portion = pixels_portion(pixels, given.core.variant.at_once or min(most, wanted))
    scratch = spare + portion * form.pixel_bytes
    if not form.fits or scratch > min(MAX_ROWS_BYTES, limit):
        return None
    source = conv_2d_rows_source(form, given.core.has_fpu)
    flat = sizes | {"output_height": pixels // sizes["output_width"]}  # of all images
    return _row_call(layer, flat, form, given.constants, source, portion, 1, scratch)


def by_flat_windows(given: ConvLayer) -> KernelCall | None:
    """Windows of an image with few channels as the channels of pixels, which all are one row."""
    layer, sizes, limit = given.layer, given.sizes, given.limit_bytes
    channels, pixels = len(layer.weights), sizes["output_height"] * sizes["output_width"]
    window = Window.of(sizes)
    depth, held_bytes = 4 * window.words, window.held_rows * window.pitch
    is_one_image = given.site.output().type.elements == pixels * channels
    if not is_one_image or sizes["dilation_width"] != 1 or pixels < MIN_PIXELS:
        return None
    if held_bytes > MAX_HELD_BYTES or window.words > MAX_WORDS:
        return None
    if sizes["pad_left"] * sizes["input_channels"] > window.pitch:  # all windows lie left of the image
        return None
    form = RowMatmulForm(given.arithmetic, 1, 1, 1, 1, 2 * depth, 0, channels, loop_bytes=given.core.loop_bytes)
    form = _with_tails(form, pixels)
    spare = _rows_bytes(form, 1) + held_bytes
    most = (min(ROWS_BYTES, limit) - spare) // form.pixel_bytes
    windows = pixels_portion(pixels, given.core.variant.at_once or min(most, PIXELS_AT_ONCE))
    scratch = spare + windows * form.pixel_bytes
    if not form.fits or windows < min(MIN_WINDOWS, pixels) or scratch > min(MAX_ROWS_BYTES, limit):
        return None
    weights = np.pad(window_weights(window, layer.weights), ((0, 0), (0, 4 * form.steps - depth)))
    words = pair_words(weights, layer.start, given.constants, given.arithmetic.folded)
    words = np.concatenate([words.reshape(-1), np.zeros(spare_words(form), np.int32)])
    fields = sizes | {"held_rows": window.held_rows, "pitch": window.pitch}
    dropped = ("group_channels", "output_zero_point", "dilation_height", "dilation_width", "kernel_height")
    params = (
        *((name, value) for name, value in fields.items() if name not in (*dropped, "kernel_width")),
        ("depth", depth),
        ("windows", windows),
        *row_params(form),
    )
    source = conv_2d_rows_source(form, given.core.has_fpu, window)
    name = f"conv_2d_windows_dsp_{form.name}_{window.name}"
    layout = PairsLayout(given.arithmetic, channels, 2 * form.steps, "2 * {sizes}row_steps")
    return KernelCall(name, params, call_arguments(words, scratch, layout), source)


def _with_tails(form: RowMatmulForm, pixels: int) -> RowMatmulForm:
    """The form that makes one or two `pixels` behind the last four one by one, where that is worth its code."""
    tails = replace(form, tails=True)
    is_faster = pixels <= MAX_PIXELS_WITH_TAILS or tails.unroll == form.unroll
    return tails if pixels % 4 in (1, 2) and is_faster else form


def row_params(form: RowMatmulForm) -> tuple[tuple[str, int], ...]:
    """What the drivers of row_matmul.py say about the form to the portable twin."""
    return (
        ("row_steps", form.steps),
        ("folded", int(form.arithmetic.folded)),
        ("scale_bits", form.arithmetic.scale_bits),
        ("rounds_ties", int(form.arithmetic.rounds_ties)),
        ("shift", form.arithmetic.shift),
        ("max_tails", 2 * form.tails),
    )


def _row_call(
    layer: PlainLayer,
    sizes: Sizes,
    form: RowMatmulForm,
    constants: Requantization | SharedShift,
    source: GeneratedKernel,
    row_pixels: int,
    rows: int,
    scratch_bytes: int,
) -> KernelCall:
    depth, kernel = sizes["input_channels"], (form.kernel_height, form.kernel_width)
    pixels = np.zeros((form.channels, *kernel, form.pixel_bytes // 2), np.int64)
    pixels[..., :depth] = layer.weights.reshape(form.channels, *kernel, depth)
    filled = ((0, 0), (0, 0), (0, 4 * (form.steps - form.filled_steps)))
    weights = np.pad(pixels.reshape(form.channels, form.kernel_height, -1), filled)
    packed = pair_words(weights.reshape(form.channels, -1), layer.start, constants, form.arithmetic.folded)
    words = np.concatenate([packed.reshape(-1), np.zeros(spare_words(form), np.int32)])
    dropped = ("group_channels", "output_zero_point", "dilation_height", "dilation_width")
    params = (
        *((name, value) for name, value in sizes.items() if name not in dropped),
        ("row_pixels", row_pixels),
        ("rows_at_once", rows),
        *row_params(form),
    )
    layout = PairsLayout(
        form.arithmetic,
        form.channels,
        2 * form.kernel_height * form.steps,
        "2 * {sizes}kernel_height * {sizes}row_steps",
        f"thimble_rows_matmul_dsp_{form.name}",
        "wide_rows" if form.row_bytes else "flat_pixels",
    )
    return KernelCall(f"conv_2d_rows_dsp_{form.name}", params, call_arguments(words, scratch_bytes, layout), source)


def pair_bytes_of(form: RowMatmulForm) -> int:
    """Of a pair's table."""
    return 8 * form.steps * form.kernel_height + form.arithmetic.pair_bytes


def spare_words(form: RowMatmulForm) -> int:
    """What the last pair's copy in portions of 32 bytes reads behind the table."""
    return -pair_bytes_of(form) % 32 // 4


def _rows_bytes(form: RowMatmulForm, rows: int) -> int:
    """Scratch: one pair's weights, and the widened rows of `rows` output rows."""
    wide_rows = (rows - 1) * form.stride_height + form.kernel_height
    return pair_bytes_of(form) + 4 * spare_words(form) + wide_rows * form.row_bytes + form.spare_bytes


def _rows_at_once(form: RowMatmulForm, rows: int, columns: int, limit_bytes: int) -> int:
    """Output rows of one matrix product."""
    wanted = min(-(-PIXELS_AT_ONCE // columns), rows, MAX_ROWS)
    return next((n for n in range(wanted, 1, -1) if _rows_bytes(form, n) <= min(ROWS_BYTES, limit_bytes)), 1)
