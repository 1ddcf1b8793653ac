"""The matrix product of a pointwise convolution whose outputs become planes of int16, as depthwise functions read them.

All pixels of an image, widened, are one row as in row_matmul.py; where each pixel's element lies in a plane comes from a
table, so that borders, rows of any length and rows that are columns take the same loop. Stores of 16 bits take the
place of bytes that are put together: the end of a group takes about as long.
"""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import Frame, Listing, registers
from thimble.codegen.armv7em.depthwise_fill import WORD_BYTES
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.armv7em.row_matmul import RowMatmulForm, group_of_sums, move_on, stage_weights
from thimble.codegen.armv7em.sums import CONSTANTS, SUMS, requantize

PIXELS = 4
"""Pixels of a group."""

LANE_BYTES = 4
"""From a channel's word of a plane to the next channel's."""

_PLACES = ("r2", "r3", "r4", "r5")

_JOB = (
    *("rows", "weights", "pair_bytes", "staged", "outputs", "last_place", "channels", "ceiling", "offset"),
    *("last_column", "lane", "quad_step"),
)
_FAST = ("weights_end", "place", "last_place", "lane", "words", *CONSTANTS, "ceiling", "offset")
_NAMES = (*_JOB, "done", "weights_end", "place", "words", *CONSTANTS)


@dataclass(frozen=True, slots=True)
class PlanesMatmulForm:
    """What one function is generated for.

    `product` says how sums are made; its channels do not count. The elements of `run` pixels, 4, 2 or 1, lie one behind
    the other in a plane, the first of them in the upper half of a word where it `leads`. `overlaps`: pixels are no whole
    groups, so that the last one overlaps the one before.
    """

    product: RowMatmulForm
    run: int
    leads: bool
    overlaps: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        flags = f"{'l' * self.leads}{'o' * self.overlaps}"
        return f"p{self.product.pixel_bytes}_{self.product.arithmetic.name}_r{self.run}{flags}"

    @property
    def function(self) -> str:
        """The C name of the function."""
        return f"thimble_planes_matmul_dsp_{self.name}"

    def element_bytes(self, pixel: int) -> int:
        """Where the element of a run's pixel lies, from that of the first one."""
        element = pixel + self.leads
        return element // 2 * WORD_BYTES + element % 2 * 2 - self.leads * 2


def planes_matmul_listing(form: PlanesMatmulForm, has_fpu: bool) -> Listing:
    """The function of a form, to be called with a thimble_planes_matmul_job."""
    a, product = Listing(form.function), form.product
    frame = Frame(_NAMES, _FAST, has_fpu)
    frame.begin(a, _JOB)
    a.op("adds", "r1", "r4", "#4", note="4 bytes low of the weights, behind 2 biases")
    frame.store(a, "r1", "words")
    a.op("add", "r4", "r4", "r3")
    a.op("sub", "r4", "r4", f"#{product.arithmetic.behind_bytes}", note="where r1 is behind the last weights")
    frame.store(a, "r4", "weights_end")
    a.op("movs", "r0", "#0")
    frame.store(a, "r0", "done")
    a.label("pair")
    stage_weights(a, frame, product.arithmetic)
    frame.store(a, "r2", "place")
    a.op("subs", "r0", "#4", note="loads are 4 bytes ahead of their base")
    a.op(".balign", 4, note="so that no 32-bit instruction of the loop crosses a word")
    a.label("group", "4 pixels, 2 channels")
    frame.load(a, "r1", "words")
    group_of_sums(a, frame, product)
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


def _put(a: Listing, frame: Frame, form: PlanesMatmulForm) -> None:
    """Both channels of four pixels to their lanes of the planes."""
    places = _PLACES[: PIXELS // form.run]
    frame.load(a, "r1", "place")
    if len(places) == 1:
        a.op("ldr", places[0], "[r1], #4")
    else:
        a.op("ldm", "r1!", registers(places))
    frame.store(a, "r1", "place")
    frame.load(a, "r1", "lane")
    for register in places:
        a.op("add.w", register, register, "r1")
    for pixel in range(PIXELS):
        run, at = divmod(pixel, form.run)
        for channel in range(2):
            offset = form.element_bytes(at) + LANE_BYTES * channel
            a.op("strh.w", SUMS[2 * pixel + channel], f"[{places[run]}, #{offset}]")


def _next_group(a: Listing, frame: Frame, form: PlanesMatmulForm) -> None:
    """The next four pixels, which at the end may overlap the last ones."""
    frame.load(a, "r2", "place")
    frame.load(a, "r3", "last_place")
    move_on(a, form.product)
    a.op("cmp", "r2", "r3")
    a.branch("bls", "group")
    if form.overlaps:
        a.op("subs", "r2", f"#{4 * PIXELS // form.run}")
        frame.load(a, "r0", "rows")
        a.op("cmp", "r2", "r3")
        a.branch("beq", "pair_end")
        frame.store(a, "r3", "place")
        frame.load(a, "r3", "last_column")
        a.op("subs", "r0", "#4", note="the last four pixels overlap the ones before")
        a.op("add", "r0", "r0", "r3")
        a.branch("b", "group")
        a.label("pair_end")


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
