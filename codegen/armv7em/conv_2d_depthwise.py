"""A convolution and the depthwise one behind it on Armv7E-M: the first writes the planes of the second.

The matrix product goes straight to planes of int16 (planes_matmul.py), and from these the depthwise function makes its
outputs (depthwise.py). Nothing is rounded less than in two layers; what they would store in between, and lay out anew,
is gone. Of pointwise convolutions all pixels are widened once, and some groups of four channels are made at a time. Of
images with few channels some rows of windows are gathered at a time, for the planes of all channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from thimble.codegen.armv7em.bands import Portions, Windows, bands_of
from thimble.codegen.armv7em.conv_layer import fuse_pixels
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.depthwise import depthwise_listing
from thimble.codegen.armv7em.depthwise_fill import LANES, WORD_BYTES
from thimble.codegen.armv7em.depthwise_form import MAX_OFFSET, DepthwiseForm, largest_offset, paired_if_faster
from thimble.codegen.armv7em.depthwise_layer import (
    MAX_ROW_BYTES,
    depthwise_scales,
    is_taken_by_planes,
    plane_layer,
    plane_params,
)
from thimble.codegen.armv7em.depthwise_packing import packed_channels
from thimble.codegen.armv7em.packing import pair_words
from thimble.codegen.armv7em.planes_matmul import PlanesMatmulForm, planes_matmul_file
from thimble.codegen.armv7em.rendering import kernel_files, render
from thimble.codegen.armv7em.row_matmul import RowMatmulForm
from thimble.codegen.armv7em.rows_layer import MAX_HELD_BYTES, pair_bytes_of, row_params, spare_words
from thimble.codegen.armv7em.shared_shift import SharedShift
from thimble.codegen.armv7em.sums import Arithmetic
from thimble.codegen.armv7em.windows import FEW_CHANNELS, MAX_WORDS, Window, window_weights
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.plain_layer import PlainLayer, plain_layer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.sizes import Sizes, keeps_pixels, sizes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, GeneratedKernel, KernelCall, Rounding, Scratch, Table
from thimble.compiler.ops.conv_2d_depthwise import Conv2DDepthwise

MAX_SCRATCH_BYTES = 1 << 16
"""Layers whose widened pixels and planes would need more than this stay two."""

MAX_ROWS = 64
"""THIMBLE_MAX_FUSED_ROWS in the runtime."""

MAX_OUTPUT_CHANNELS = 1 << 12
"""Most channels between the two."""

PLANE_BYTES, MAX_QUADS = 16384, 8
"""Planes of an image that is one band which are there at the same time, of four channels each, unless those of the
first four need more."""

WINDOWS_AT_ONCE = (128, 192, 256, 384)
"""Windows that are gathered at a time, in whole rows."""

_NOT_TAKEN = ("group_channels", "output_zero_point", "dilation_height", "dilation_width")
"""Sizes of a convolution that its kernels do not take."""


@dataclass(frozen=True, slots=True, eq=False)
class _Given:
    """A convolution, how its sums are made, its `image` of inputs and outputs, and how its outputs lie in planes:
    `row_bytes` from one row to the next, the first element of a row in the upper half of a word where it `leads`."""

    layer: PlainLayer
    arithmetic: Arithmetic
    constants: Requantization | SharedShift
    loop_bytes: int
    image: Sizes
    row_bytes: int
    leads: bool

    def matmul(self, pixel_bytes: int) -> PlanesMatmulForm:
        """The form of the product of pixels."""
        product = RowMatmulForm(self.arithmetic, 1, 1, 1, 1, pixel_bytes, 0, channels=0, loop_bytes=self.loop_bytes)
        return PlanesMatmulForm(product, self.image["output_width"], self.row_bytes, self.leads)


@dataclass(frozen=True, slots=True, eq=False)
class _Product:
    """The matrix product: its form, the parameters and the table of its driver, and the scratch for weights and input
    rows beside `pixels_at_once` pixels.

    With a `window`, the form's pixels are windows that the kernel gathers.
    """

    form: PlanesMatmulForm
    params: tuple[tuple[str, int], ...]
    table: Array
    held_bytes: int = 0
    window: Window | None = None

    def portions(self, sizes: Sizes) -> Iterator[Portions]:
        """All portions in which the layers may be made, by the sizes of the depthwise one."""
        groups = -(-sizes["output_channels"] // LANES)
        for bands in bands_of(Windows.of(sizes), self.form.group_rows):
            quad_bytes = bands.plane_rows * self.form.row_bytes
            if self.window is not None:
                found = [(min(rows, bands.rows), groups) for rows in self._gathered_rows()]
            elif bands.count > 1:
                found = [(bands.rows, groups)]
            else:
                most = min(groups, max(PLANE_BYTES // quad_bytes, 1), MAX_QUADS)
                found = [(bands.rows, quads) for quads in range(most, 0, -1)]
            for rows_at_once, quads in found:
                pixel_bytes = _widened_bytes(self.form.product, rows_at_once * self.form.width)
                yield Portions(bands, rows_at_once, quads, groups, pixel_bytes + self.held_bytes + quads * quad_bytes)

    def _gathered_rows(self) -> tuple[int, ...]:
        """Rows of windows that may be gathered at a time."""
        step = self.form.group_rows
        return tuple(max(n // (self.form.width * step), 1) * step for n in WINDOWS_AT_ONCE)

    def portions_within(self, limit_bytes: int, sizes: Sizes) -> Portions | None:
        """The portions with the fewest cycles within a limit of scratch; None where there is no room for any."""
        fitting = (p for p in self.portions(sizes) if p.scratch_bytes <= limit_bytes)
        channels, gathers = sizes["output_channels"], self.window is not None
        return min(fitting, key=lambda p: p.price(channels, self.form.row_bytes, gathers), default=None)


def specialise_conv_2d_depthwise(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """A kernel in place of thimble_conv_2d_depthwise_s8; None where the preconditions of either do not hold."""
    assert isinstance(site.op, Conv2DDepthwise)
    calls = site.op.calls_apart(site, Rounding.TFLM)
    first = plain_layer(site.op.convolution_site(site), calls[0], channel_axis=0)
    second = plain_layer(site.op.depthwise_site(site), calls[1], channel_axis=3)
    fused = None if first is None else fuse_pixels(first)
    scales = None if second is None else depthwise_scales(second)
    if not whole or core.compact or first is None or second is None or fused is None or scales is None:
        return None
    image, sizes = sizes_of(calls[0]), sizes_of(calls[1])
    if not _is_taken(image, sizes, site.output().type.shape[0]):
        return None
    planned = plane_layer(second, sizes, *scales, core)
    form = replace(planned.form, filled=True)
    given = _Given(first, *fused, core.loop_bytes, image, form.row_bytes, leads=sizes["pad_left"] % 2 > 0)
    if largest_offset(form) > MAX_OFFSET or form.stride_height * form.row_bytes > MAX_ROW_BYTES:
        return None
    product = _by_pixels(given) if keeps_pixels(image) else _by_windows(given)
    if product is None or not product.form.fits or image["output_height"] % product.form.group_rows != 0:
        return None
    portions = product.portions_within(min(limit_bytes, MAX_SCRATCH_BYTES), sizes)
    if portions is None:
        return None
    bands = portions.bands
    if bands.count == 1:
        form = paired_if_faster(form, bands.output_rows)
    packed = packed_channels(second, form, planned.constants)
    planes = plane_params(second, sizes, form, form.row_bytes // WORD_BYTES, bands.output_rows, packed.shape[1])
    pixels = portions.rows_at_once * product.form.width
    params = (
        *((f"convolution.{name}", value) for name, value in product.params),
        ("convolution.windows" if product.window else "convolution.row_pixels", pixels),
        *((f"depthwise.{name}", value) for name, value in planes),
        ("plane_rows", bands.plane_rows),
        ("band_rows", bands.rows),
        ("quads_at_once", portions.quads),
    )
    tables = Table("packed", product.table), Table("depthwise_packed", packed)
    arguments = row_arguments(*tables, Scratch(portions.scratch_bytes, "uint32_t"))
    source = _source(product.form, form, product.window, core.has_fpu)
    return KernelCall(_name(product.form, form, product.window), params, arguments, source)


def _is_taken(image: Sizes, sizes: Sizes, images: int) -> bool:
    """Whether there is one image, and planes suit the depthwise convolution."""
    dense = image["group_channels"] == image["input_channels"]
    near = dense and 2 <= image["output_channels"] <= MAX_OUTPUT_CHANNELS and sizes["output_height"] <= MAX_ROWS
    return images == 1 and near and is_taken_by_planes(sizes, one_row=False)


def _by_pixels(given: _Given) -> _Product | None:
    """Pointwise: the pixels of a band are widened once. Words of their channels may reach into the next pixel."""
    image = given.image
    form = given.matmul(8 * -(-image["input_channels"] // 4))
    if image["input_channels"] == 1:
        return None
    params = (
        *((name, value) for name, value in image.items() if name not in _NOT_TAKEN),
        ("rows_at_once", 1),
        *row_params(form.product),
    )
    return _Product(form, params, _pair_table(given, given.layer.weights, form.product))


def _by_windows(given: _Given) -> _Product | None:
    """Images with few channels: some rows of windows are gathered at a time."""
    image, window = given.image, Window.of(given.image)
    held_bytes, depth = window.held_rows * window.pitch, 4 * window.words
    beside = image["pad_left"] * image["input_channels"] > window.pitch  # all windows lie left of the image
    if image["input_channels"] > FEW_CHANNELS or image["dilation_width"] != 1 or beside:
        return None
    if held_bytes > MAX_HELD_BYTES or window.words > MAX_WORDS:
        return None
    form = given.matmul(2 * depth)
    fields = image | {"held_rows": window.held_rows, "pitch": window.pitch}
    params = (
        *((name, v) for name, v in fields.items() if name not in (*_NOT_TAKEN, "kernel_height", "kernel_width")),
        ("depth", depth),
        *row_params(form.product),
    )
    table = _pair_table(given, window_weights(window, given.layer.weights), form.product)
    return _Product(form, params, table, held_bytes, window)


def _widened_bytes(product: RowMatmulForm, pixels: int) -> int:
    """The weights of a pair, and widened pixels."""
    staged_bytes = pair_bytes_of(product) + 4 * spare_words(product)
    return staged_bytes + pixels * product.pixel_bytes + product.spare_bytes


def _pair_table(given: _Given, weights: Array, product: RowMatmulForm) -> Array:
    """Words of pair_words for all channels, of an odd number the last one twice, and what the last copy reads
    behind."""
    filled = np.zeros((len(weights), product.steps * 4), np.int64)
    filled[:, : weights.shape[1]] = weights
    packed = pair_words(filled, given.layer.start, given.constants, product.arithmetic.folded, doubles_last=True)
    return np.concatenate([packed.reshape(-1), np.zeros(spare_words(product), np.int32)])


def _name(matmul: PlanesMatmulForm, form: DepthwiseForm, window: Window | None) -> str:
    """The kernel's name: by what it is generated for."""
    return f"conv_2d_depthwise_dsp_{matmul.name}_{form.name}{f'_{window.name}' if window else ''}"


@lru_cache(maxsize=256)
def _source(matmul: PlanesMatmulForm, form: DepthwiseForm, window: Window | None, has_fpu: bool) -> GeneratedKernel:
    """The files of kernel conv_2d_depthwise_dsp_<forms>: both functions, which layers may share, and their caller."""
    name, listing = f"thimble_{_name(matmul, form, window)}", depthwise_listing(form)
    driver = "conv_2d_depthwise" if window is None else "windows_depthwise"
    given = {
        "name": name, "product": matmul.function, "depthwise": listing.name, "driver": driver, "window": window,
        "folded": int(matmul.product.arithmetic.folded),
    }  # fmt: skip
    files = (
        *kernel_files(name, "conv_2d_depthwise_dsp", **given),
        planes_matmul_file(matmul, has_fpu),
        (f"{listing.name}.c", render("planes_depthwise_dsp.c.j2", form=form, assembly=listing.text)),
    )
    needs = ("conv_2d_depthwise_dsp", "flat_windows_dsp", "planes_dsp", "wide_rows_dsp", "fill_lanes_dsp")
    return GeneratedKernel(files, needs)
