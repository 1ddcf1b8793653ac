"""CONV_2D on Armv7E-M: which layers the packed matrix product takes, their packed weights and their kernel call."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.matmul import UNROLL, MatmulForm, conv_2d_source
from thimble.codegen.armv7em.packing import PairsLayout, call_arguments, pair_words
from thimble.codegen.armv7em.partial_matmul import PartialMatmulForm, conv_2d_partial_source
from thimble.codegen.armv7em.pointwise import (
    MAX_ROWS,
    MIN_PIXELS,
    PIXELS_AT_ONCE,
    ROWS_BYTES,
    pixels_portion,
    pointwise_call,
    shares_function,
)
from thimble.codegen.armv7em.row_matmul import RowMatmulForm, conv_2d_rows_source
from thimble.codegen.armv7em.shared_shift import SharedShift, share_shift
from thimble.codegen.armv7em.sums import Arithmetic
from thimble.codegen.armv7em.windows import MAX_WORDS, Window, window_weights
from thimble.codegen.armv7em.winograd_layer import winograd_bytes, winograd_call
from thimble.codegen.kernel_tools.plain_layer import PlainLayer, plain_layer
from thimble.codegen.kernel_tools.requantize import MAX_SCALE_BITS, Requantization, plain_requantization
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of, window_kernel_params
from thimble.codegen.variants import Maker, Variant, first_made
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import GeneratedKernel, KernelCall

PANEL_BYTES = 4608
"""Most scratch for the columns of one matrix product, unless four columns alone need more."""

MAX_ROWS_BYTES = 1 << 16
"""Layers whose widened rows would need more than this become columns."""

MAX_DEPTH = 1 << 13
"""Deepest window taken: its four columns take 64 KiB of scratch."""

MAX_KERNEL_HEIGHT = 16
"""Highest window taken: THIMBLE_MAX_KERNEL_HEIGHT in the runtime."""

MAX_COLUMNS = 16
"""THIMBLE_MAX_COLUMNS in the runtime."""

MAX_SINGLE_COLUMNS = 2
"""THIMBLE_MAX_TAILS in the runtime: so many columns behind groups of four are made one by one."""

PORTIONS = (8, 16, 24, 32, 48, 64, 96, 128, 192)
"""Pixels of widened rows at once that are tried by `--tune`."""

UNROLLS = (2, 3, 4, 6, 8)
"""Steps in a turn of the inner loop that are tried."""

PORTION_BYTES = 4096
"""Of pixels with few channels so many bytes at once, since a portion takes its time whatever its size."""

MAX_PADDING_SHARE = 3
"""Windows of several pixels with 5 channels and more become columns where padding to words adds more than a third."""

MAX_PIXELS_WITH_TAILS = 32
"""Pointwise layers of more pixels are better off without the code for one or two pixels behind the last four."""

MAX_WHOLE_PIXELS = 16
"""Pointwise layers of up to so many pixels, in rows of less than four, wait for all of their input: so they share the
function of other layers."""

MAX_HELD_BYTES = 2048
"""Most bytes of image rows, borders included, that are copied for a row of windows to be gathered from."""

FEW_CHANNELS = 3
"""Pixels of so few channels fill words badly, so that windows are made of whole words rather than pixels."""

MIN_WINDOWS = 24
"""Fewer windows at once are not worth copying weights for."""

MIN_POINTWISE_WIDTH = 24
"""Below it pixels that are made twice at the end of a row cost more than columns, which go on over rows."""


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """What every form is made from: the layer, how its sums are made, the core, and the most bytes of scratch."""

    site: Site
    layer: PlainLayer
    sizes: Sizes
    arithmetic: Arithmetic
    constants: Requantization | SharedShift
    core: Core
    limit_bytes: int


def specialise_conv_2d(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """A packed matrix product in place of thimble_conv_2d_s8; None where the preconditions do not hold."""
    layer = plain_layer(site, call, channel_axis=0)
    sizes = sizes_of(call)
    if layer is None or sizes["group_channels"] != sizes["input_channels"] or len(layer.weights) < 2:
        return None
    found = fuse_pixels(layer)
    if found is None:
        return None
    arithmetic, constants = found
    given = _Given(site, layer, sizes, arithmetic, constants, core, limit_bytes)
    may_transform = whole and winograd_bytes(site) <= core.winograd_bytes
    makers: dict[str, Maker] = {
        "tiles": lambda: winograd_call(layer, sizes, core, limit_bytes) if may_transform else None,
        "flat": lambda: _by_flat_pixels(given) if whole else None,
        "rows": lambda: _by_rows(given),
        "windows": lambda: _by_flat_windows(given) if whole else None,
        "columns": lambda: _by_columns(given, MIN_PIXELS),
        "parts": lambda: _by_parts(given),
        "singles": lambda: _by_columns(given, 1),
        "pointwise": lambda: _by_pointwise(given, whole),
    }
    if sizes["input_channels"] <= FEW_CHANNELS:
        makers = {name: makers[name] for name in ("tiles", "flat", "windows", *makers)}  # windows before rows
    if core.compact and not core.variant.form:
        if (whole or sizes["output_width"] >= MIN_POINTWISE_WIDTH) and shares_function(_pointwise_sizes(given, whole)):
            return makers["pointwise"]()  # within less scratch, others would need functions of their own
        if not whole and shares_function(_pointwise_sizes(given, True)) and _pixels(given) <= MAX_WHOLE_PIXELS:
            return None
    return first_made(makers, core.variant)


def conv_2d_variants(sizes: Sizes, whole: bool) -> tuple[Variant, ...]:
    """Ways to make a convolution that may be faster than the default one."""
    rows = [n for n in range(1, MAX_ROWS + 1) if n <= sizes["output_height"]]
    pointwise = sizes["kernel_height"] == sizes["kernel_width"] == 1
    flat = [Variant("flat", n, unroll) for n in PORTIONS for unroll in (0, *UNROLLS)]
    return (
        Variant("tiles"),
        *((Variant("pointwise"),) if pointwise else ()),
        *(flat if whole and pointwise else ()),
        *(Variant("rows", n, unroll) for n in rows for unroll in (0, *UNROLLS)),
        *(Variant("windows", n) for n in PORTIONS if whole and not pointwise),
        *(Variant("columns", n) for n in range(4, MAX_COLUMNS + 1, 4)),
    )


def fuse_pixels(layer: PlainLayer) -> tuple[Arithmetic, Requantization | SharedShift] | None:
    """What fuse_sums says, with one last shift for all channels where that gives the same bytes."""
    found = fuse_sums(layer)
    shared = share_shift(layer) if found is not None and found[0].folded else None
    if found is None or shared is None:
        return found
    return replace(found[0], shift=shared.shift), shared


def fuse_sums(layer: PlainLayer) -> tuple[Arithmetic, Requantization] | None:
    """How the sums are made, and the constants of their requantization; None where nothing can be proved."""
    plain = plain_requantization(layer)
    folded = plain.with_bits(MAX_SCALE_BITS) if layer.weights.min() >= -127 else None
    constants = folded or plain.with_equal_bits()
    if constants is None:
        return None
    bits = constants.uniform_bits
    return Arithmetic(folded is not None, bits, layer.rounds_ties, layer.limits_inside), constants


def _by_columns(given: _Given, least: int) -> KernelCall | None:
    """As many columns at once as fit, but no fewer than `least`, unless there are fewer."""
    layer, sizes, limit = given.layer, given.sizes, given.limit_bytes
    channels, taps = layer.weights.shape
    depth = -(-taps // 4) * 4
    if depth > MAX_DEPTH or sizes["kernel_height"] > MAX_KERNEL_HEIGHT:
        return None
    weights = np.zeros((channels, depth), np.int64)
    weights[:, :taps] = layer.weights
    form = MatmulForm(given.arithmetic, depth // 4 % UNROLL)
    pixels = given.site.output().type.elements // channels
    columns = given.core.variant.at_once or _columns_at_once(depth, pixels, limit)
    scratch = 2 * columns * depth + depth
    if columns < min(least, pixels) or scratch > limit:
        return None
    words = pair_words(weights, layer.start, given.constants, given.arithmetic.folded)
    params = _column_params(sizes, depth, columns, given.arithmetic)
    source = conv_2d_source(form, given.core.has_fpu)
    layout = PairsLayout(
        given.arithmetic, channels, depth // 2, "{sizes}depth / 2", f"thimble_matmul_dsp_{form.name}", "columns"
    )
    return KernelCall(f"conv_2d_dsp_{form.name}", params, call_arguments(words, scratch, layout), source)


def _by_parts(given: _Given) -> KernelCall | None:
    """Windows of several rows that are whole words each: one row of four windows at a time."""
    layer, sizes, limit = given.layer, given.sizes, given.limit_bytes
    channels, depth = layer.weights.shape
    row_bytes = sizes["kernel_width"] * sizes["input_channels"]
    scratch = 8 * row_bytes + 32 * -(-channels // 2) + row_bytes
    if sizes["kernel_height"] == 1 or row_bytes % 4 or scratch > limit or depth > MAX_DEPTH:
        return None
    form = PartialMatmulForm(given.arithmetic, row_bytes // 4 % UNROLL)
    words = pair_words(layer.weights.astype(np.int64), layer.start, given.constants, given.arithmetic.folded)
    params = _column_params(sizes, depth, 4, given.arithmetic)
    source = conv_2d_partial_source(form, given.core.has_fpu)
    layout = PairsLayout(given.arithmetic, channels, depth // 2, "{sizes}depth / 2")
    return KernelCall(f"conv_2d_partial_dsp_{form.name}", params, call_arguments(words, scratch, layout), source)


def _column_params(sizes: Sizes, depth: int, columns: int, arithmetic: Arithmetic) -> tuple[tuple[str, int], ...]:
    return (
        *window_kernel_params(sizes, ("group_channels", "output_zero_point")),
        ("depth", depth),
        ("columns", columns),
        ("folded", int(arithmetic.folded)),
        ("shift", arithmetic.shift),
    )


def _columns_at_once(depth: int, pixels: int, limit_bytes: int) -> int:
    """Columns of one matrix product: more of them read the weights from flash less often. 0 where none fits."""
    most = min((limit_bytes - depth) // (2 * depth), MAX_COLUMNS, -(-pixels // 4) * 4)
    most = min(most, max(PANEL_BYTES // (2 * depth), 4))
    return next((n for n in range(most, 0, -1) if n % 4 <= MAX_SINGLE_COLUMNS), 0)


def _by_rows(given: _Given) -> KernelCall | None:
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
    )
    rows = given.core.variant.at_once or _rows_at_once(
        form, given.site.output().type.rows, sizes["output_width"], limit
    )
    if not form.fits or _rows_bytes(form, rows) > min(MAX_ROWS_BYTES, limit):
        return None
    source = conv_2d_rows_source(form, given.core.has_fpu)
    return _row_call(layer, sizes, form, given.constants, source, row_pixels, rows, _rows_bytes(form, rows))


def _by_pointwise(given: _Given, whole: bool) -> KernelCall | None:
    """Pointwise convolutions by the function that all of them share."""
    if not given.core.compact:
        return None
    sizes, core = _pointwise_sizes(given, whole), given.core
    return pointwise_call(given.layer, sizes, given.arithmetic, given.constants, core.has_fpu, given.limit_bytes)


def _pointwise_sizes(given: _Given, whole: bool) -> Sizes:
    """The layer's sizes, where that is possible with all pixels in one row ("flat")."""
    sizes, pixels = given.sizes, _pixels(given)
    if not whole or not _keeps_pixels(sizes):
        return {**sizes, "flat": 0}
    return {**sizes, "input_height": 1, "output_height": 1, "input_width": pixels, "output_width": pixels, "flat": 1}


def _pixels(given: _Given) -> int:
    return given.site.output().type.elements // len(given.layer.weights)


def _keeps_pixels(sizes: Sizes) -> bool:
    """Whether each pixel of the output is made from the same one of the input."""
    ones = ("kernel_height", "kernel_width", "stride_height", "stride_width")
    padded = sizes["pad_top"] or sizes["pad_left"] or sizes["input_width"] != sizes["output_width"]
    return all(sizes[name] == 1 for name in ones) and not padded


def _by_flat_pixels(given: _Given) -> KernelCall | None:
    """Pointwise convolutions of whole tensors: all pixels are one row."""
    layer, sizes, limit = given.layer, given.sizes, given.limit_bytes
    depth, pixels = sizes["input_channels"], _pixels(given)
    if not _keeps_pixels(sizes) or depth == 1 or pixels < MIN_PIXELS:
        return None
    unroll = given.core.variant.unroll
    form = RowMatmulForm(given.arithmetic, 1, 1, 1, 1, 8 * -(-depth // 4), 0, len(layer.weights), False, unroll)
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


def _by_flat_windows(given: _Given) -> KernelCall | None:
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
    form = _with_tails(RowMatmulForm(given.arithmetic, 1, 1, 1, 1, 2 * depth, 0, channels), pixels)
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
