"""Depthwise convolutions along planes: which layers they take, their packed weights and their kernel call."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.depthwise import depthwise_listing
from thimble.codegen.armv7em.depthwise_fill import LANES, WORD_BYTES, FillShape, fill_file
from thimble.codegen.armv7em.depthwise_form import (
    MAX_OFFSET,
    DepthwiseForm,
    largest_offset,
    paired_if_faster,
    row_cycles,
)
from thimble.codegen.armv7em.depthwise_packing import common_addend, packed_channels
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.armv7em.shared_shift import SharedShift, share_shift
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import MAX_SCALE_BITS, Requantization, plain_requantization
from thimble.codegen.kernel_tools.sizes import Sizes, window_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import GeneratedKernel, KernelCall, Scratch, Table

PLANE_BYTES = 8192
"""Most scratch for planes, unless the rows of one output row alone need more."""

HALO_ROWS, OUTPUTS_AT_ONCE = 9, 216
"""So many output rows, and rows of so many outputs more, make the cost of another filling, which reads the weights and
some rows again, less than 3%. The scratch, and how far the output keeps off the input, grow with them."""

MAX_ROWS, MAX_PLANE_ROWS = 28, 32
"""THIMBLE_MAX_OUTPUT_ROWS and THIMBLE_MAX_PLANE_ROWS in the runtime."""

MAX_CHANNELS = 1023
MAX_ROW_BYTES = (1 << 16) - 1
"""Longest row of outputs: what MOVW can add to an address."""

MAX_KERNEL_WIDTH = 7
"""Taps of a kernel row whose weights fit the registers."""

CUT_WIDTH = 6
"""Taps of the rows into which a longer one is cut: even, so that all begin at a whole word."""

MAX_ROW_KERNEL = 96

FILL_ROW_CYCLES, FILL_CYCLES = 20, 1.9
"""What laying out four channels takes: a row of planes, and each value."""

COMMON_SHIFT = 12
"""The last shift of all channels where they allow it, so that many layers share a function."""


def by_planes(
    site: Site,
    layer: PlainLayer,
    sizes: Sizes,
    constants: Requantization,
    equal_shifts: bool,
    core: Core,
    whole: bool,
    limit_bytes: int,
) -> KernelCall | None:
    """The call of a layer along planes; None where they cannot take it.

    Whole images one pixel wide, such as steps in time, are taken as one long row; high ones may be turned.
    """
    one_image = whole and site.output().type.shape[0] == 1
    one_row = one_image and is_column(sizes)
    sizes = _as_row(sizes) if one_row else sizes
    weight_bits = site.input(1).type.dtype.bits
    # The addends of left shifts lack a term, which compact forms always add.
    compact = (core.compact or weight_bits < 8) and bool((layer.shifts < 0).all())
    if not is_taken_by_planes(sizes, one_row) or (weight_bits < 8 and not compact):
        return None
    fill = None if compact else FillShape.of(sizes["pad_left"], sizes["input_width"])
    planned = plane_layer(
        layer, sizes, constants, equal_shifts, core, one_row=one_row, compact=compact, joined=whole and not one_row
    )
    form = replace(planned.form, fill=fill, weight_bits=weight_bits)
    if one_image and not one_row and not compact and not core.variant.at_once:
        form, sizes = _turn_if_faster(form, sizes, min(PLANE_BYTES, limit_bytes))
    all_rows = 1 if one_row else sizes["output_height"] if form.is_turned else site.output().type.rows
    row_words = plane_row_words(sizes, (form.kernel_height, form.kernel_width))
    planes = Planes.of(form, sizes)
    worth = all_rows if form.is_turned else HALO_ROWS + OUTPUTS_AT_ONCE // form.output_width
    most = min(all_rows, worth)
    own = planes.rows_within(most, min(PLANE_BYTES, limit_bytes) - form.unpacked_bytes)
    rows = core.variant.at_once or own
    if rows > min(all_rows, MAX_ROWS) or (form.is_turned and rows < all_rows):
        return None
    if largest_offset(form) > MAX_OFFSET or form.stride_height * form.row_bytes > MAX_ROW_BYTES:
        return None
    if planes.height(rows) > MAX_PLANE_ROWS or planes.bytes(rows) + form.unpacked_bytes > limit_bytes:
        return None
    if rows % 2 == 0:
        form = paired_if_faster(form, sizes["output_height"])
    packed = packed_channels(layer, form, planned.constants)
    params = plane_params(layer, sizes, form, row_words, rows, packed.shape[1])
    table, scratch = Table("packed", packed), Scratch(planes.bytes(rows) + form.unpacked_bytes, "uint32_t")
    arguments = row_arguments(table, scratch)
    ahead = rows * form.output_width * form.channels  # channels behind the first four are read when rows are written
    name, source = f"depthwise_conv_2d_dsp_{form.name}", depthwise_source(form)
    return KernelCall(name, params, arguments, source, overlaps=whole, ahead_bytes=ahead if whole else 0)


@dataclass(frozen=True, slots=True, eq=False)
class PlaneLayer:
    """The form of a layer that is made along planes, and the constants of its channels."""

    form: DepthwiseForm
    constants: Requantization | SharedShift


def plane_layer(
    layer: PlainLayer,
    sizes: Sizes,
    constants: Requantization,
    equal_shifts: bool,
    core: Core,
    *,
    one_row: bool = False,
    compact: bool = False,
    joined: bool = True,
) -> PlaneLayer:
    """The form of a layer with weights of 8 bits, without what fills the planes."""
    shared = share_shift(layer)
    geometry: dict[str, Any] = _geometry(sizes, one_row)
    form = DepthwiseForm(
        **geometry,
        channels=sizes["output_channels"],
        total_shift=shared.shift if shared is not None else int(constants.shifts[0]) if equal_shifts else None,
        scale_bits=MAX_SCALE_BITS if shared is not None else constants.uniform_bits,
        rounds_ties=layer.rounds_ties,
        clamps=layer.limits_inside,
        has_fpu=core.has_fpu,
        one_row=one_row,
        compact=compact,
        joined=joined,
        fill=None,
        no_addend=shared is not None,
    )
    return PlaneLayer(form, shared or constants)


def _geometry(sizes: Sizes, one_row: bool) -> dict[str, int]:
    """The fields of a form that say how kernels and rows lie."""
    kernel = _packed_kernel(sizes, one_row)
    words = plane_row_words(sizes, kernel) if kernel[0] == sizes["kernel_height"] else kernel[1] // 2
    kept = ("stride_height", "stride_width", "output_width")
    return {
        "kernel_height": kernel[0],
        "kernel_width": kernel[1],
        **{name: sizes[name] for name in kept},
        "row_bytes": WORD_BYTES * words,
    }


def _turn_if_faster(form: DepthwiseForm, sizes: Sizes, most_bytes: int) -> tuple[DepthwiseForm, Sizes]:
    """Form and sizes with the image's columns as rows, where these are the longer ones and make it faster.

    All of them must be made from one filling, since they lie between each other: then the output may lie as near to the
    input as that of rows from one filling.
    """
    turned_sizes = _exchanged(sizes)
    geometry: dict[str, Any] = _geometry(turned_sizes, one_row=False)
    fill = FillShape.of(turned_sizes["pad_left"], turned_sizes["input_width"])
    turned = replace(form, **geometry, fill=fill, across=sizes["output_width"])
    planes, rows = Planes.of(turned, turned_sizes), turned_sizes["output_height"]
    held = planes.height(rows) <= MAX_PLANE_ROWS and rows <= MAX_ROWS and planes.bytes(rows) <= most_bytes
    near = turned.step_bytes <= MAX_CHANNELS and turned.output_width * turned.step_bytes <= MAX_ROW_BYTES
    if sizes["output_width"] == 1 or not (held and near and is_taken_by_planes(turned_sizes, one_row=False)):
        return form, sizes
    is_faster = _channel_cycles(turned, turned_sizes) < _channel_cycles(form, sizes)
    return (turned, turned_sizes) if is_faster else (form, sizes)


def _channel_cycles(form: DepthwiseForm, sizes: Sizes) -> float:
    """About the cycles of a channel of an image: its output rows, and its part of the planes."""
    filled = FILL_ROW_CYCLES + FILL_CYCLES * LANES * sizes["input_width"]
    return sizes["output_height"] * row_cycles(form) + sizes["input_height"] * filled / LANES


def plane_params(
    layer: PlainLayer, sizes: Sizes, form: DepthwiseForm, row_words: int, rows: int, channel_words: int
) -> tuple[tuple[str, int], ...]:
    """The fields of thimble_planes_dsp_params."""
    return (
        *window_of(sizes),
        ("channels", form.channels),
        *((name, sizes[name]) for name in ("input_zero_point", "output_min", "output_max")),
        ("row_words", row_words),
        ("packed_height", form.kernel_height),
        ("packed_width", form.kernel_width),
        ("packed_pitch", form.row_bytes // WORD_BYTES),
        ("rows_at_once", rows),
        ("channel_words", channel_words),
        ("total_shift", -1 if form.total_shift is None else form.total_shift),
        ("scale_bits", form.scale_bits),
        ("rounds_ties", int(form.rounds_ties)),
        ("weight_bits", form.weight_bits),
        ("tap_row_bytes", form.tap_row_bytes),
        ("special_at", form.special_at),
        ("constants_at", form.constants_at),
        ("common_addend", common_addend(layer, form)),
        ("no_addend", int(form.no_addend)),
        ("turned", int(form.is_turned)),
    )


@dataclass(frozen=True, slots=True)
class Planes:
    """The planes of four channels: `row_bytes` of one row of all four."""

    stride: int
    kernel_height: int
    row_bytes: int

    @classmethod
    def of(cls, form: DepthwiseForm, sizes: Sizes) -> Planes:
        """The planes of a form."""
        words = plane_row_words(sizes, (form.kernel_height, form.kernel_width))
        return cls(form.stride_height, sizes["kernel_height"], WORD_BYTES * words)

    def height(self, rows: int) -> int:
        """Rows from which `rows` output rows are made."""
        return (rows - 1) * self.stride + self.kernel_height

    def bytes(self, rows: int) -> int:
        """Scratch for the planes from which `rows` output rows are made."""
        return self.height(rows) * self.row_bytes

    def rows_within(self, rows: int, most_bytes: int) -> int:
        """Output rows of one filling: more of them read weights, and rows under several windows, less often."""
        fitting = (n for n in range(min(rows, MAX_ROWS), 1, -1) if self.height(n) <= MAX_PLANE_ROWS)
        most = next((n for n in fitting if self.bytes(n) <= most_bytes), 1)
        return -(-rows // -(-rows // most))


@lru_cache(maxsize=256)
def depthwise_source(form: DepthwiseForm) -> GeneratedKernel:
    """The files of kernel depthwise_conv_2d_dsp_<form>: the assembly, and the kernel that uses it or its twin."""
    name = f"thimble_depthwise_conv_2d_dsp_{form.name}"
    files = (
        (f"{name}.c", render("depthwise_conv_2d_dsp.c.j2", form=form, assembly=depthwise_listing(form).text)),
        (f"{name}.h", render("depthwise_conv_2d_dsp.h.j2", form=form)),
        fill_file(form.fill, form.has_fpu),
    )
    return GeneratedKernel(files, needs=("planes_dsp", "fill_lanes_dsp"))


def is_column(sizes: Sizes) -> bool:
    """Whether an image is one pixel wide, and so is the kernel."""
    return sizes["input_width"] == sizes["output_width"] == sizes["kernel_width"] == 1 and sizes["pad_left"] == 0


def _as_row(sizes: Sizes) -> Sizes:
    """The sizes of an image one pixel wide with height and width exchanged."""
    return _exchanged(sizes) | {"stride_height": 1, "dilation_height": 1}


def _exchanged(sizes: Sizes) -> Sizes:
    """The sizes with height and width exchanged."""
    swapped = dict(sizes)
    for name in ("input", "kernel", "stride", "dilation", "output"):
        swapped[f"{name}_width"] = sizes[f"{name}_height"]
        swapped[f"{name}_height"] = sizes[f"{name}_width"]
    return swapped | {"pad_top": sizes["pad_left"], "pad_left": sizes["pad_top"]}


def _packed_kernel(sizes: Sizes, one_row: bool) -> tuple[int, int]:
    """Height and width of the kernel as it is packed: a long row of an image of one row is cut."""
    if one_row and sizes["kernel_width"] > MAX_KERNEL_WIDTH:
        return -(-sizes["kernel_width"] // CUT_WIDTH), CUT_WIDTH
    return sizes["kernel_height"], sizes["kernel_width"]


def is_taken_by_planes(sizes: Sizes, one_row: bool) -> bool:
    """Whether kernel rows, channels and output rows are within what functions along planes can encode."""
    return (
        sizes["kernel_width"] <= (MAX_ROW_KERNEL if one_row else MAX_KERNEL_WIDTH)
        and sizes["output_channels"] <= MAX_CHANNELS
        and sizes["output_width"] * sizes["output_channels"] <= MAX_ROW_BYTES
    )


def depthwise_scales(layer: PlainLayer) -> tuple[Requantization, bool] | None:
    """The constants, and whether all channels share the last shift; None where nothing can be proved."""
    plain = plain_requantization(layer)
    equal = None if layer.rounds_ties else plain.with_equal_shifts(COMMON_SHIFT)
    constants = equal or plain.with_equal_bits()
    return None if constants is None else (constants, equal is not None)


def plane_row_words(sizes: Sizes, kernel: tuple[int, int]) -> int:
    """Words of a plane's row: all input columns behind the left border, and all taps of the last output."""
    taps = kernel[1] if kernel[0] == sizes["kernel_height"] else kernel[0] * kernel[1]
    reach = (sizes["output_width"] - 1) * sizes["stride_width"] + taps
    return -(-max(reach, sizes["pad_left"] + sizes["input_width"]) // 2)
