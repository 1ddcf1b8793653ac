"""The matrix product of a pointwise convolution whose outputs become planes of int16, as depthwise functions read them.

Image rows, widened, lie one behind the other and are whole groups of pixels, so that where the elements of a group lie
in a plane is known from that of the first one, and only the end of an image row steps over borders. Stores of 16 bits
take the place of bytes that are put together: the end of a group takes as long.
"""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import MAX_OFFSET, Frame, Listing, add_constant
from thimble.codegen.armv7em.depthwise_fill import WORD_BYTES
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.armv7em.row_matmul import RowMatmulForm, group_of_sums, keep_weights, move_on, stage_weights
from thimble.codegen.armv7em.sums import CONSTANTS, SUMS, requantize

PIXELS = 4
"""Pixels of a group."""

LANE_BYTES = 4
"""From a channel's word of a plane to the next channel's."""

_JOB = (
    *("rows", "weights", "pair_bytes", "staged", "outputs", "lane", "channels", "ceiling", "offset", "quad_step"),
    "rows_bytes",
)
_FAST = ("weights_end", "place", "row_end", "places_end", "lane", "words", *CONSTANTS, "ceiling", "offset")
_NAMES = (*_JOB, "done", "weights_end", "place", "row_end", "places_end", "words", *CONSTANTS)


@dataclass(frozen=True, slots=True)
class PlanesMatmulForm:
    """What one function is generated for.

    `product` says how sums are made; its channels do not count. Rows have `width` pixels, and lie `row_bytes` one from
    the other in a plane; the first element of a row is in the upper half of a word where it `leads`. A group is four
    pixels of a row, or two of each of two rows where four do not divide it.
    """

    product: RowMatmulForm
    width: int
    row_bytes: int
    leads: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        sizes = f"p{self.product.pixel_bytes}w{self.width}r{self.row_bytes}"
        return f"{sizes}{'l' * self.leads}_{self.product.arithmetic.name}"

    @property
    def group_rows(self) -> int:
        """Rows of a group."""
        return 1 if self.width % PIXELS == 0 else 2

    @property
    def group_columns(self) -> int:
        """Columns of a group."""
        return PIXELS // self.group_rows

    @property
    def group_bytes(self) -> int:
        """From a group to the next one in a plane."""
        return self.group_columns // 2 * WORD_BYTES

    @property
    def row_end(self) -> int:
        """From the first group of a row to behind its last one in a plane."""
        return self.width // self.group_columns * self.group_bytes

    @property
    def pixels_at(self) -> tuple[int, ...]:
        """Where a group's pixels lie in widened rows, from the first one, in bytes."""
        places = (divmod(pixel, self.group_columns) for pixel in range(PIXELS))
        return tuple((row * self.width + column) * self.product.pixel_bytes for row, column in places)

    @property
    def elements_at(self) -> tuple[int, ...]:
        """Where their elements lie in a plane, from the first one, in bytes."""
        places = (divmod(pixel, self.group_columns) for pixel in range(PIXELS))
        return tuple(row * self.row_bytes + self._element_bytes(column) for row, column in places)

    def _element_bytes(self, column: int) -> int:
        element = column + self.leads
        return element // 2 * WORD_BYTES + element % 2 * 2 - self.leads * 2

    @property
    def function(self) -> str:
        """The C name of the function."""
        return f"thimble_planes_matmul_dsp_{self.name}"

    @property
    def fits(self) -> bool:
        """Whether rows are made of groups, and all offsets and immediates can be encoded."""
        in_groups = self.width % self.group_columns == 0
        furthest = max(self.pixels_at) + 8 * self.product.unroll + 8
        bytes_moved = max(self.group_rows * self.row_bytes, self.width * self.product.pixel_bytes)
        return in_groups and self.product.fits and furthest <= MAX_OFFSET and bytes_moved < 1 << 16


def planes_matmul_listing(form: PlanesMatmulForm, has_fpu: bool) -> Listing:
    """The function of a form, to be called with a thimble_planes_matmul_job."""
    a, product = Listing(form.function), form.product
    frame = Frame(_NAMES, _FAST, has_fpu)
    frame.begin(a, _JOB)
    keep_weights(a, frame, product.arithmetic)
    a.op("movs", "r0", "#0")
    frame.store(a, "r0", "done")
    a.label("pair")
    stage_weights(a, frame, product.arithmetic)
    _start_rows(a, frame, form)
    a.op("subs", "r0", "#4", note="loads are 4 bytes ahead of their base")
    a.op(".balign", 4, note="so that no 32-bit instruction of the loop crosses a word")
    a.label("group", "4 pixels, 2 channels")
    frame.load(a, "r1", "words")
    group_of_sums(a, frame, product, form.pixels_at)
    requantize(a, frame, product.arithmetic)
    _limit(a, frame, form)
    _put(a, frame, form)
    _next_group(a, frame, form)
    _next_pair(a, frame)
    return a


def _limit(a: Listing, frame: Frame, form: PlanesMatmulForm) -> None:
    """Values from the lower limit up to those between both limits, as lanes of 16 bits."""
    if form.product.arithmetic.clamps:
        frame.load(a, "r2", "ceiling")
        frame.load(a, "r3", "offset")
        for total in SUMS:
            a.op("uqadd16", total, total, "r2", note="saturates at the upper limit")
            a.op("uadd16", total, total, "r3")


def _start_rows(a: Listing, frame: Frame, form: PlanesMatmulForm) -> None:
    """Where the first row begins and ends in the planes, and all rows end."""
    frame.load(a, "r2", "lane")
    frame.load(a, "r3", "rows_bytes")
    add_constant(a, "r4", "r2", form.row_end)
    a.op("add", "r3", "r3", "r2")
    frame.store(a, "r2", "place")
    frame.store(a, "r4", "row_end")
    frame.store(a, "r3", "places_end")


def _put(a: Listing, frame: Frame, form: PlanesMatmulForm) -> None:
    """Both channels of four pixels to their lanes of the planes, at r2; r3 is where the image row ends."""
    frame.load(a, "r2", "place")
    frame.load(a, "r3", "row_end")
    for pixel in range(PIXELS):
        for channel in range(2):
            at = form.elements_at[pixel] + LANE_BYTES * channel
            a.op("strh.w", SUMS[2 * pixel + channel], f"[r2, #{at}]")


def _next_group(a: Listing, frame: Frame, form: PlanesMatmulForm) -> None:
    """The next four pixels, of these image rows or the next ones."""
    a.op("adds", "r2", f"#{form.group_bytes}")
    move_on(a, form.product, form.group_columns)
    frame.store(a, "r2", "place")
    a.op("cmp", "r2", "r3")
    a.branch("bne", "group")
    frame.load(a, "r4", "places_end")
    add_constant(a, "r2", "r2", form.group_rows * form.row_bytes - form.row_end, free="r5")
    add_constant(a, "r3", "r3", form.group_rows * form.row_bytes, free="r5")
    if form.group_rows > 1:
        add_constant(a, "r0", "r0", form.width * form.product.pixel_bytes, free="r5")
    frame.store(a, "r2", "place")
    frame.store(a, "r3", "row_end")
    a.op("cmp", "r2", "r4")
    a.branch("bne", "group")


def _next_pair(a: Listing, frame: Frame) -> None:
    """The next two channels: the other lanes of the planes, or the first ones of the next planes."""
    frame.load(a, "r2", "done")
    frame.load(a, "r3", "lane")
    frame.load(a, "r4", "quad_step")
    frame.load(a, "r5", "channels")
    a.op("adds", "r2", "#2")
    frame.store(a, "r2", "done")
    a.op("tst", "r2", "#2")
    a.op("ite", "ne")
    a.op("addne", "r3", f"#{2 * LANE_BYTES}")
    a.op("addeq", "r3", "r4")
    frame.store(a, "r3", "lane")
    a.op("cmp", "r2", "r5")
    a.branch("blt", "pair")
    frame.leave(a)


def planes_matmul_file(form: PlanesMatmulForm, has_fpu: bool) -> tuple[str, str]:
    """Name and text of the C file."""
    assembly = planes_matmul_listing(form, has_fpu).text
    return f"{form.function}.c", render("planes_matmul_dsp.c.j2", form=form, assembly=assembly)
