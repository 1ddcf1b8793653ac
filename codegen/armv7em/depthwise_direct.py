"""Depthwise 3x3 straight from rows: one channel at a time, no scratch, each column of three bytes loaded once.

A column becomes two registers: its upper two values side by side, which meet both upper weights in one SMLAD, and the
lower one. It belongs to up to three windows (two with stride 2), whose sums wait in registers while the column slides
along the row; weights are in registers for all rows of a call. Weights are packed as bytes and scaled by 256 as they
are taken apart: an AND leaves two of them in the upper bytes of two lanes.

    3 ldrsb; pkhbt                  4 + 1        vmov: bias, multiplier          2
    3 smlad, 3 smlab                    6        smmul, ssat, strb               3        sum 16: 1.78 a product

With stride 2 an output takes two columns, 22 cycles: 2.44 a product. Borders left and right are columns of zero points
in a register; rows above and below the image have weights of 0 and their share in the bias.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from thimble.codegen.armv7em.assembly import Frame, Listing, add_constant, registers
from thimble.codegen.armv7em.depthwise_direct_form import KERNEL, Column, DirectForm
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.shared_shift import SharedShift, share_shift
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import MAX_SCALE_BITS, Requantization, plain_requantization
from thimble.codegen.kernel_tools.sizes import Sizes, window_of
from thimble.codegen.kernel_tools.words import int32_words
from thimble.compiler.ir.operator import Array, GeneratedKernel, KernelCall, Table

ROWS, SUMS, WEIGHTS, OUTPUT = ("r0", "r1", "r2"), ("r5", "r6"), ("r8", "r9", "r10", "r11", "r12"), "lr"
UPPER, LOWER, FREE = "r3", "r4", "r7"
"""A column's upper two values and its lower one; r7 is one of the upper ones until they are together."""

UPPER_WEIGHTS = WEIGHTS[:KERNEL]
LOWER_WEIGHTS = ((WEIGHTS[3], "smlabb"), (WEIGHTS[3], "smlabt"), (WEIGHTS[4], "smlabb"))
"""Where the weights of each column of the window are, and how they meet the data."""

TAP_BYTES = (1, 0, 5, 3, 2, 7, 4, 6, 8)
"""Where the bytes of a channel hold each tap, row by row."""

LANE_BYTES = "#0xff00ff00"

_JOB = ("packed", "lines", "lines_end", "channels", "zeros", "borders", "ceiling", "offset")
_FAST = (
    *("multiplier", "bias", "addend", "shift", "row_end", "ceiling", "offset", "zeros", "next_line", "lines_end"),
    *("channel", "lines", "packed", "borders", "channels"),
)
_NAMES = (*_JOB, "channel", "bias", "multiplier", "addend", "shift", "row_end", "next_line")


def direct_listing(form: DirectForm) -> Listing:
    """The function of a form, to be called with a thimble_direct_rows_job."""
    return _Writer(form).listing()


class _Writer:
    """Writes the assembly of one form."""

    def __init__(self, form: DirectForm) -> None:
        self._form = form
        self._a = Listing(f"thimble_depthwise_direct_dsp_{form.name}_rows")
        self._frame = Frame(_NAMES, _FAST, form.has_fpu)

    def listing(self) -> Listing:
        """The whole function: channel by channel, and in it row by row."""
        a, frame = self._a, self._frame
        frame.begin(a, _JOB)
        a.op("movs", "r3", "#0")
        frame.store(a, "r3", "channel")
        a.label("channel")
        self._load_weights()
        self._fold_borders()
        frame.load(a, FREE, "lines")
        a.op(".balign", 4)
        a.label("row")
        a.op("ldm", f"{FREE}!", registers((*ROWS, OUTPUT)), note="three input rows and the output row")
        frame.load(a, UPPER, "channel")
        frame.store(a, FREE, "next_line")
        for register in (*ROWS, OUTPUT):
            a.op("add", register, register, UPPER)
        self._columns()
        self._next()
        return a

    def _load_weights(self) -> None:
        """The channel's weights, scaled, and its constants."""
        a, frame = self._a, self._frame
        frame.load(a, FREE, "packed")
        a.op("ldm", f"{FREE}!", registers(WEIGHTS), note="weights, bias, multiplier")
        if not self._form.shift:
            a.op("ldm", f"{FREE}!", registers((UPPER, LOWER)), note="addend, shift")
            frame.store(a, UPPER, "addend")
            frame.store(a, LOWER, "shift")
        frame.store(a, FREE, "packed")
        frame.store(a, WEIGHTS[3], "bias")
        frame.store(a, WEIGHTS[4], "multiplier")
        a.op("mov", UPPER, LANE_BYTES, note="the upper byte of a lane is scaled by 256")
        a.op("lsl", WEIGHTS[4], WEIGHTS[2], "#8", note="tap 2 of the lower row")
        a.op("and", WEIGHTS[3], UPPER, WEIGHTS[1], "lsl #8", note="taps 0 and 1 of the lower row")
        a.op("and", WEIGHTS[2], WEIGHTS[1], UPPER, note="tap 2 of the upper rows")
        a.op("and", WEIGHTS[1], UPPER, WEIGHTS[0], "lsl #8", note="tap 1 of the upper rows")
        a.op("and", WEIGHTS[0], WEIGHTS[0], UPPER, note="tap 0 of the upper rows")

    def _fold_borders(self) -> None:
        """Rows outside of the image: what zero points add goes to the bias, and their weights become 0."""
        a, frame = self._a, self._frame
        frame.load(a, LOWER, "borders")
        a.op("cmp", LOWER, "#0")
        a.branch("beq", "inside")
        frame.load(a, "r5", "zeros")
        frame.load(a, "r6", "bias")
        a.op("lsls", LOWER, LOWER, "#31", note="carry: below; what is left: above")
        a.branch("bcc", "no_border_below")
        for weights, op in LOWER_WEIGHTS:
            a.op("smlabb" if op == "smlabb" else "smlatb", "r6", weights, "r5", "r6")
        for weights in WEIGHTS[KERNEL:]:
            a.op("mov", weights, "#0")
        a.label("no_border_below")
        a.op("cmp", LOWER, "#0")
        a.branch("beq", "no_border_above")
        for weights in UPPER_WEIGHTS:
            a.op("smlabb", "r6", weights, "r5", "r6")
        for weights in UPPER_WEIGHTS:
            a.op("bfc", weights, "#0", "#16")
        a.label("no_border_above")
        frame.store(a, "r6", "bias")
        a.label("inside")

    def _columns(self) -> None:
        """All columns of a row: those before the loop, the loop, and those behind it. With a loop, pointers move on."""
        a, frame, form = self._a, self._frame, self._form
        columns, begin, turn = form.columns, form.looped_from, form.turn
        if form.turns:
            for column in columns[:begin]:
                self._column(column)
            add_constant(a, UPPER, ROWS[0], form.turns * turn * form.channels)
            frame.store(a, UPPER, "row_end")
            a.op(".balign", 4)
            a.label("turn", f"{turn} columns")
            for column in columns[begin : begin + turn]:
                self._column(column)
            frame.load(a, UPPER, "row_end")
            a.op("cmp", ROWS[0], UPPER)
            a.branch("bne", "turn")
            columns = columns[begin + form.turns * turn :]
        for column in columns:
            self._column(column)

    def _column(self, column: Column) -> None:
        """A column's part of its windows; the last one is finished first, so that its sum is free for a new one."""
        a, frame, form, lower = self._a, self._frame, self._form, LOWER
        if column.is_border:
            frame.load(a, UPPER, "zeros", note="a border")
            lower = UPPER
        else:
            for register, row in zip((UPPER, FREE, LOWER), ROWS, strict=True):
                a.op("ldrsb.w", register, self._address(row, column.place))
            a.op("pkhbt", UPPER, UPPER, FREE, "lsl #16")
        for output, tap in column.windows:
            total = SUMS[output % 2 if form.stride == 1 else 0]
            if tap == 0:
                frame.load(a, total, "bias")
            weights, op = LOWER_WEIGHTS[tap]
            a.op("smlad", total, UPPER, UPPER_WEIGHTS[tap], total)
            a.op(op, total, lower, weights, total)
            if tap == KERNEL - 1:
                self._finish(total, output)

    def _address(self, register: str, pixel: int) -> str:
        """The operand for a pixel of a row; where pointers move, each access moves its own to the next pixel."""
        channels = self._form.channels
        return f"[{register}], #{channels}" if self._form.turns else f"[{register}, #{channels * pixel}]"

    def _finish(self, total: str, output: int) -> None:
        """A sum to a byte of the output; r7 is free."""
        a, frame, form = self._a, self._frame, self._form
        saturate = "usat" if form.clamps else "ssat"
        frame.load(a, FREE, "multiplier")
        a.op("smmul", total, total, FREE)
        if form.shift:
            a.op(saturate, total, "#8", total, f"asr #{form.shift}")
        else:
            if form.rounds_ties:
                a.op("asr", FREE, total, "#31")
                a.op("add", total, total, FREE, f"lsl #{MAX_SCALE_BITS - 1}", note="halves away from zero")
            frame.load(a, FREE, "addend")
            a.op("add", total, total, FREE)
            frame.load(a, FREE, "shift")
            a.op("asr", total, total, FREE)
            a.op(saturate, total, "#8", total)
        if form.clamps:
            frame.load(a, FREE, "ceiling")
            a.op("uqadd8", total, total, FREE, note="saturates at the upper limit")
            frame.load(a, FREE, "offset")
            a.op("uadd8", total, total, FREE)
        a.op("strb.w", total, self._address(OUTPUT, output))

    def _next(self) -> None:
        """The next row of the channel, then the next channel."""
        a, frame = self._a, self._frame
        frame.load(a, FREE, "next_line")
        frame.load(a, UPPER, "lines_end")
        a.op("cmp", FREE, UPPER)
        a.branch("bne", "row")
        frame.load(a, UPPER, "channel")
        frame.load(a, LOWER, "channels")
        a.op("adds", UPPER, "#1")
        frame.store(a, UPPER, "channel")
        a.op("cmp", UPPER, LOWER)
        a.branch("blt", "channel")
        frame.leave(a)


def direct_call(layer: PlainLayer, sizes: Sizes, has_fpu: bool, whole: bool) -> KernelCall | None:
    """The call of a 3x3 layer; None where its borders are wider or sums cannot be scaled by 256.

    All rows of a portion are read for a channel after others were written.
    """
    constants = share_shift(layer) or plain_requantization(layer).with_bits(MAX_SCALE_BITS)
    if constants is None or not _is_taken(sizes) or (layer.shifts >= 0).any():
        return None
    form = DirectForm(
        stride=sizes["stride_width"],
        pad=sizes["pad_left"],
        input_width=sizes["input_width"],
        output_width=sizes["output_width"],
        channels=sizes["output_channels"],
        shift=constants.shift if isinstance(constants, SharedShift) else 0,
        rounds_ties=layer.rounds_ties,
        clamps=layer.limits_inside,
        has_fpu=has_fpu,
    )
    if not form.fits:
        return None
    packed = _packed(layer, constants)
    rows = min(form.rows_at_once, sizes["output_height"])
    params = (
        *window_of(sizes),
        ("channels", form.channels),
        *((name, sizes[name]) for name in ("input_zero_point", "output_min", "output_max")),
        ("rows_at_once", rows),
        ("channel_words", packed.shape[1]),
        ("total_shift", form.shift or -1),
        ("rounds_ties", int(form.rounds_ties)),
    )
    ahead = rows * form.output_width * form.channels
    name, arguments = f"depthwise_direct_dsp_{form.name}", row_arguments(Table("packed", packed))
    return KernelCall(name, params, arguments, _source(form), overlaps=whole, ahead_bytes=ahead if whole else 0)


def _is_taken(sizes: Sizes) -> bool:
    """3x3 of stride 1 or 2 along rows, the middle row of all windows inside of the image."""
    last = (sizes["output_height"] - 1) * sizes["stride_height"] - sizes["pad_top"]
    square = sizes["kernel_height"] == sizes["kernel_width"] == KERNEL
    inside = sizes["pad_top"] <= 1 and last + 1 < sizes["input_height"]
    return square and inside and sizes["stride_width"] in (1, 2) and sizes["output_width"] > 1


@lru_cache(maxsize=256)
def _source(form: DirectForm) -> GeneratedKernel:
    """The files of kernel depthwise_direct_dsp_<form>: the assembly, and the kernel that uses it or its twin."""
    name = f"thimble_depthwise_direct_dsp_{form.name}"
    files = kernel_files(name, "depthwise_direct_dsp", form=form, assembly=direct_listing(form).text)
    return GeneratedKernel(files, needs=("direct_rows_dsp",))


def _packed(layer: PlainLayer, constants: Requantization | SharedShift) -> Array:
    """(channels, words) int32: nine weights as bytes, bias, multiplier and, but for shared shifts, addend and shift."""
    scaled = layer.start << MAX_SCALE_BITS
    if isinstance(constants, SharedShift):
        tail = [scaled + constants.starts, constants.multipliers]
    else:
        tail = [scaled, constants.multipliers, constants.addends, constants.shifts]
    taps = np.zeros((len(layer.weights), 4 * KERNEL), np.uint8)
    taps[:, list(TAP_BYTES)] = layer.weights.astype(np.int8).view(np.uint8)
    return int32_words(np.concatenate([taps.view("<u4").astype(np.int64), np.stack(tail, axis=1)], axis=1))
