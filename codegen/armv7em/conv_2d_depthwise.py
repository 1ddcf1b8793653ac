"""A pointwise convolution and the depthwise one behind it on Armv7E-M: the first writes the planes of the second.

For some groups of four channels at a time the matrix product of all pixels goes straight to planes of int16
(planes_matmul.py), and from these the depthwise function makes its outputs (depthwise.py). Nothing is rounded less than
in two layers; what they would store in between, and lay out anew, is gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from thimble.codegen.armv7em.conv_layer import fuse_pixels
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.depthwise import depthwise_listing
from thimble.codegen.armv7em.depthwise_fill import LANES, WORD_BYTES
from thimble.codegen.armv7em.depthwise_form import MAX_OFFSET, DepthwiseForm, largest_offset
from thimble.codegen.armv7em.depthwise_layer import (
    MAX_ROW_BYTES,
    depthwise_scales,
    is_taken_by_planes,
    packed_channels,
    plane_layer,
    plane_params,
)
from thimble.codegen.armv7em.packing import pair_words
from thimble.codegen.armv7em.planes_matmul import PlanesMatmulForm, planes_matmul_file
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.armv7em.row_matmul import RowMatmulForm
from thimble.codegen.armv7em.rows_layer import pair_bytes_of, row_params, spare_words
from thimble.codegen.armv7em.shared_shift import SharedShift
from thimble.codegen.armv7em.sums import Arithmetic
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.plain_layer import PlainLayer, plain_layer
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
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
"""Planes that are there at the same time, of four channels each, unless those of the first four need more: matrix
product and depthwise function drive each other out of an instruction cache of 1 KB, so that they take turns seldom."""


@dataclass(frozen=True, slots=True)
class _Space:
    """What is in scratch, in bytes: the weights of a pair, widened pixels, and planes of four channels."""

    staged: int
    pixels: int
    quad: int

    @classmethod
    def of(cls, matmul: PlanesMatmulForm, sizes: Sizes) -> _Space:
        """What a product and the depthwise convolution of some `sizes` behind it need."""
        product = matmul.product
        staged = pair_bytes_of(product) + 4 * spare_words(product)
        pixels = matmul.height * matmul.width * product.pixel_bytes + product.spare_bytes
        return cls(staged, pixels, _plane_rows(sizes) * matmul.row_bytes)

    def bytes_of(self, quads: int) -> int:
        """With the planes of some groups of four channels."""
        return self.staged + self.pixels + quads * self.quad

    def quads_within(self, limit_bytes: int, channels: int) -> int:
        """Groups of four channels at a time; 0 where there is no room for one."""
        most = min(-(-channels // LANES), max(PLANE_BYTES // self.quad, 1), MAX_QUADS)
        return max(min(most, (limit_bytes - self.staged - self.pixels) // self.quad), 0)


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
    matmul = _matmul_form(fused[0], core.loop_bytes, image, sizes, form)
    space = _Space.of(matmul, sizes)
    quads = space.quads_within(min(limit_bytes, MAX_SCRATCH_BYTES), len(first.weights))
    is_near = largest_offset(form) <= MAX_OFFSET and form.stride_height * form.row_bytes <= MAX_ROW_BYTES
    if not matmul.fits or not is_near or not quads:
        return None
    packed = packed_channels(second, form, planned.constants)
    row_words = form.row_bytes // WORD_BYTES
    params = (
        *((f"convolution.{name}", value) for name, value in _product_params(matmul, image)),
        *(
            (f"depthwise.{name}", value)
            for name, value in plane_params(second, sizes, form, row_words, sizes["output_height"], packed.shape[1])
        ),
        ("plane_rows", _plane_rows(sizes)),
        ("quads_at_once", quads),
    )
    tables = Table("packed", _pair_table(first, matmul.product, fused[1])), Table("depthwise_packed", packed)
    arguments = row_arguments(*tables, Scratch(space.bytes_of(quads), "uint32_t"))
    name = f"conv_2d_depthwise_dsp_{matmul.name}_{form.name}"
    return KernelCall(name, params, arguments, _source(matmul, form, core.has_fpu), overlaps=False)


def _is_taken(image: Sizes, sizes: Sizes, images: int) -> bool:
    """Whether there is one image, whose words of channels may reach into the next pixel, and planes suit the rest."""
    near = image["input_channels"] > 1 and 2 <= image["output_channels"] <= MAX_OUTPUT_CHANNELS
    return images == 1 and near and sizes["output_height"] <= MAX_ROWS and is_taken_by_planes(sizes)


def _matmul_form(
    arithmetic: Arithmetic, loop_bytes: int, image: Sizes, sizes: Sizes, form: DepthwiseForm
) -> PlanesMatmulForm:
    """The form of the product of an `image` whose outputs a depthwise convolution of some `sizes` reads."""
    pixel_bytes = 8 * -(-image["input_channels"] // 4)
    return PlanesMatmulForm(
        RowMatmulForm(arithmetic, 1, 1, 1, 1, pixel_bytes, 0, channels=0, loop_bytes=loop_bytes),
        height=image["output_height"],
        width=image["output_width"],
        row_bytes=form.row_bytes,
        leads=sizes["pad_left"] % 2 > 0,
    )


def _plane_rows(sizes: Sizes) -> int:
    """Rows of a plane: under all windows, and of the image."""
    under_windows = (sizes["output_height"] - 1) * sizes["stride_height"] + sizes["kernel_height"]
    return max(under_windows, sizes["pad_top"] + sizes["input_height"])


def _product_params(matmul: PlanesMatmulForm, image: Sizes) -> tuple[tuple[str, int], ...]:
    """The fields of thimble_wide_rows_dsp_params: all pixels are widened at once."""
    dropped = ("group_channels", "output_zero_point", "dilation_height", "dilation_width")
    return (
        *((name, value) for name, value in image.items() if name not in dropped),
        ("row_pixels", matmul.height * matmul.width),
        ("rows_at_once", 1),
        *row_params(matmul.product),
    )


def _pair_table(layer: PlainLayer, product: RowMatmulForm, constants: Requantization | SharedShift) -> Array:
    """Words of pair_words for all channels, of an odd number the last one twice, and what the last copy reads
    behind."""
    depth = product.steps * 4
    weights = np.zeros((len(layer.weights), depth), np.int64)
    weights[:, : layer.weights.shape[1]] = layer.weights
    packed = pair_words(weights, layer.start, constants, product.arithmetic.folded, doubles_last=True)
    return np.concatenate([packed.reshape(-1), np.zeros(spare_words(product), np.int32)])


@lru_cache(maxsize=256)
def _source(matmul: PlanesMatmulForm, form: DepthwiseForm, has_fpu: bool) -> GeneratedKernel:
    """The files of kernel conv_2d_depthwise_dsp_<forms>: both functions, which layers may share, and their caller."""
    name = f"thimble_conv_2d_depthwise_dsp_{matmul.name}_{form.name}"
    listing = depthwise_listing(form)
    given = {"name": name, "product": matmul.function, "depthwise": listing.name}
    files = (
        *((f"{name}.{end}", render(f"conv_2d_depthwise_dsp.{end}.j2", **given)) for end in ("c", "h")),
        planes_matmul_file(matmul, has_fpu),
        (f"{listing.name}.c", render("planes_depthwise_dsp.c.j2", form=form, assembly=listing.text)),
    )
    return GeneratedKernel(files, needs=("conv_2d_depthwise_dsp", "planes_dsp", "wide_rows_dsp", "fill_lanes_dsp"))
