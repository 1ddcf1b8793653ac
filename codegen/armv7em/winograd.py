"""Winograd's F(4x4, 3x3) over integers modulo 2**32: 36 multiplications for 16 outputs of 9 each, and no rounding.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", with the points 0, 1, -1, 2, -2. All fractions are
moved to the end: with the integer rows

    G = (3 0 0) (1 1 1) (1 -1 1) (1 2 4) (1 -2 4) (0 0 3)
    B = (4 0 -5 0 1 0) (0 -4 -4 1 1 0) (0 4 -4 -1 1 0) (0 -2 -1 2 1 0) (0 2 -1 -2 1 0) (0 4 0 -5 0 1)
    A = (2 -4 -4 1 1 0) (0 -2 2 1 -1 0) (0 -1 -1 1 1 0) (0 -1 1 2 -2 2)      for 24, 12, 6 and 6 times the output

output (y, x) of a tile comes out as 576 / 2**(f[y] + f[x]) times the sum, f = (0, 1, 2, 2), modulo 2**32. Times the
inverse of 9 and 2**(f[y] + f[x]) that is 64 times the sum: exactly, wherever it stays below 2**31.

Inputs are transformed with 128 added, so that two of them lie in one word: up to the last step an addition of words is
one of both lanes, whatever the borrow between them, which that step takes back. No lane leaves 16 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import FPU_REGISTERS, MAX_OFFSET, Frame, Listing, add_constant, registers
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.armv7em.sums import PIXELS, SUMS, WEIGHTS
from thimble.compiler.ir.operator import GeneratedKernel

POSITIONS = 36
SCALE_BITS = 6
"""Sums come out scaled by 64 = 576 / 9."""

INVERSE_OF_9 = 0x38E38E39
"""Modulo 2**32."""

OUTPUT_BITS = (0, 1, 2, 2)
"""f: what each row of A lacks to 24 times the output, as a power of 2."""

MAX_UNROLL = 8

TILE_BYTES = 2 * POSITIONS * 4
"""Products of one tile and two channels."""


@dataclass(frozen=True, slots=True)
class WinogradForm:
    """What the functions of a layer are generated for.

    `channels` are the input's, `outputs` the output's; `width` of the output in pixels; `tiles` are transformed and
    multiplied at once.
    """

    channels: int
    outputs: int
    width: int
    tiles: int
    rounds_ties: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.channels}x{self.outputs}w{self.width}n{self.tiles}{'t' * self.rounds_ties}"

    @property
    def row_bytes(self) -> int:
        """Of an output row."""
        return self.width * self.outputs

    @property
    def window_bytes(self) -> int:
        """Of an input row with its borders."""
        return (self.width + 2) * self.channels

    @property
    def position_bytes(self) -> int:
        """Of transformed inputs of all tiles for one position."""
        return 2 * self.tiles * self.channels

    @property
    def unroll(self) -> int:
        """Pairs of input channels in one turn of the inner loop."""
        return next(n for n in range(MAX_UNROLL, 0, -1) if self.channels // 2 % n == 0)

    @property
    def row_cycles(self) -> int:
        """Cycles of four outputs in a row: 8 for loads, 10 and 7 for the transform, 16 or 24, and 6 for the loop."""
        return 55 if self.rounds_ties else 47

    @property
    def fits(self) -> bool:
        """Whether all offsets can be encoded."""
        offsets = (
            2 * self.position_bytes + 4,
            6 * self.channels + 4 * self.unroll,
            6 * self.channels,
            4 * self.outputs,
        )
        amounts = (self.row_bytes, self.window_bytes, self.tiles * TILE_BYTES)
        return max(offsets) <= MAX_OFFSET and max(amounts) < 1 << 16


def products_listing(form: WinogradForm, has_fpu: bool) -> Listing:
    """void f(const uint32_t *inputs, const int32_t *weights, int32_t *products): two output channels, all tiles."""
    if has_fpu and form.channels <= FPU_REGISTERS and form.unroll == form.channels // 2 and form.tiles > 4:
        return _products_from_fpu(form)
    a = Listing(f"thimble_winograd_products_dsp_{form.name}")
    names = ("first", "last", "store", "group_end", "turn_end")
    frame = Frame(names, names, has_fpu)
    tile = 2 * form.channels
    looped = form.unroll < form.channels // 2
    _begin_positions(a, frame)
    frame.store(a, "r2", "first")
    frame.store(a, "r2", "store")
    add_constant(a, "r3", "r2", form.tiles * TILE_BYTES)
    frame.store(a, "r3", "group_end")
    a.label("group", "4 tiles, 2 output channels")
    if looped:
        a.op("add", "r2", "r0", f"#{tile}")
        frame.store(a, "r2", "turn_end")
        for total in SUMS:
            a.op("mov", total, "#0")
    a.op(".balign", 4, note="so that no 32-bit instruction of the loop crosses a word")
    a.label("turn", f"{17 * form.unroll + 6 * looped} cycles, {16 * form.unroll} products")
    for step in range(form.unroll):
        a.op("ldr", WEIGHTS[0], f"[r1, #{8 * step}]")
        a.op("ldr", WEIGHTS[1], f"[r1, #{8 * step + 4}]")
        _products_step(a, form, step, starts=step == 0 and not looped)
    a.op("adds", "r1", f"#{8 * form.unroll}")
    if looped:
        frame.load(a, "r2", "turn_end")
        a.op("cmp", "r0", "r2")
        a.branch("bne", "turn")
    frame.load(a, "r2", "store")
    _store_products(a, "r2")
    a.op("add", "r0", "r0", f"#{3 * tile}")
    if form.tiles > 4:
        frame.load(a, "r3", "group_end")
        a.op("add", "r2", "r2", f"#{4 * TILE_BYTES}")
        frame.store(a, "r2", "store")
        a.op("cmp", "r2", "r3")
        a.op("it", "ne")
        a.op("subne", "r1", "r1", f"#{4 * form.channels}", note="the same weights again")
        a.branch("bne", "group")
    _next_position(a, frame, (("r2", "first"), ("r3", "last")))
    return a


def _products_from_fpu(form: WinogradForm) -> Listing:
    """The same for few channels: a position's weights wait in FPU registers, from where a word takes one cycle."""
    a = Listing(f"thimble_winograd_products_dsp_{form.name}")
    frame = Frame(("weights", "first", "last", "group_end"), (), has_fpu=False)
    words = form.channels
    _begin_positions(a, frame)
    a.op("vldmia", "r1!", f"{{s0-s{words - 1}}}")
    frame.store(a, "r1", "weights")
    frame.store(a, "r2", "first")
    add_constant(a, "r3", "r2", form.tiles * TILE_BYTES)
    frame.store(a, "r3", "group_end")
    a.op("mov", "r1", "r2")
    a.op(".balign", 4)
    a.label("group", f"4 tiles, 2 output channels: {16 * form.unroll + 17} cycles, {16 * form.unroll} products")
    for step in range(form.unroll):
        for register, word in zip(WEIGHTS, (2 * step, 2 * step + 1), strict=True):
            a.op("vmov", register, f"s{word}")
        _products_step(a, form, step, starts=step == 0)
    frame.load(a, "r3", "group_end")
    _store_products(a, "r1")
    a.op("add", "r1", "r1", f"#{4 * TILE_BYTES}")
    a.op("add", "r0", "r0", f"#{6 * form.channels}")
    a.op("cmp", "r1", "r3")
    a.branch("bne", "group")
    _next_position(a, frame, (("r2", "first"), ("r3", "last"), ("r1", "weights")))
    return a


def _begin_positions(a: Listing, frame: Frame) -> None:
    """Enter, and begin the loop over the positions of products at r2."""
    frame.enter(a)
    a.op("add", "r3", "r2", f"#{4 * POSITIONS}")
    frame.store(a, "r3", "last")
    a.op("sub", "r0", "r0", "#4", note="loads are 4 bytes ahead of their base")
    a.label("position")


def _next_position(a: Listing, frame: Frame, kept: Sequence[tuple[str, str]]) -> None:
    """Fetch the first products and where they end, in r2 and r3; go on to the next position, or leave."""
    frame.load_all(a, kept)
    a.op("adds", "r2", "#4")
    a.op("cmp", "r2", "r3")
    a.branch("bne", "position")
    frame.leave(a)


def _products_step(a: Listing, form: WinogradForm, step: int, starts: bool) -> None:
    """Two input channels of four tiles: r2, r3 weights of both output channels, r4, r5 two tiles; 16 products."""
    for pair in ((2, 3), (1, 0)):
        for register, tile in zip(PIXELS, pair, strict=True):
            ends = step == form.unroll - 1 and tile == 0
            a.op("ldr.w", register, f"[r0, #{2 * form.channels * tile + 4 * step + 4}]" + "!" * ends)
        for register, tile in zip(PIXELS, pair, strict=True):
            for channel, weights in enumerate(WEIGHTS):
                total = SUMS[2 * tile + channel]
                a.op("smuad" if starts else "smlad", total, register, weights, *(() if starts else (total,)))


def _store_products(a: Listing, base: str) -> None:
    """The sums of four tiles and two output channels to one position of each."""
    for index, total in enumerate(SUMS):
        a.op("str", total, f"[{base}, #{index // 2 * TILE_BYTES + index % 2 * 4 * POSITIONS}]")


_TILE = ("r3", "r4", "r5", "r6", "r7", "r8")


def input_listing(form: WinogradForm, has_fpu: bool) -> Listing:
    """void f(const uint32_t *window, uint32_t *inputs): one tile, all input channels, four at a time."""
    a = Listing(f"thimble_winograd_input_dsp_{form.name}")
    names = ("channels_end", "window", "inputs")
    frame = Frame(names, names, has_fpu)
    half = POSITIONS * 4
    frame.enter(a, 2 * half)
    a.op("add", "r2", "r0", f"#{form.channels}")
    frame.store(a, "r2", "channels_end")
    a.op("mov", "lr", "#0x8000")
    a.label("channels", "4 input channels: about 870 cycles")
    frame.store(a, "r0", "window")
    frame.store(a, "r1", "inputs")
    a.op("add", "r12", "sp", f"#{frame.bytes}", note="half-transformed: (even or odd lanes, 6 positions, 6 rows)")
    a.op("add", "r11", "r12", "#24")
    a.op(".balign", 4)
    a.label("row")
    for odd in (0, 1):
        for column, register in enumerate(_TILE):
            a.op("ldr.w", register, f"[r0, #{column * form.channels}]")
        for register in _TILE:
            a.op("uxtb16.w", register, register, *(["ror #8"] if odd else []))
        for position, register in enumerate(_transform_input(a)):
            a.op("str.w", register, f"[r12, #{odd * half + position * 24}]")
    add_constant(a, "r0", "r0", form.window_bytes, free="r9")
    a.op("add", "r12", "r12", "#4")
    a.op("cmp", "r12", "r11")
    a.branch("bne", "row")
    a.op("sub", "r12", "r12", "#24")
    a.op("add", "r11", "r12", f"#{half}")
    a.op(".balign", 4)
    a.label("column", "6 positions")
    add_constant(a, "r2", "r1", 3 * form.position_bytes)
    for odd, line in enumerate(("r12", "r11")):
        a.op("ldm", f"{line}!", registers(_TILE))
        for index, register in enumerate(_transform_input(a)):
            a.op("and", "r9", register, "lr", note="the borrow of the low lane")
            a.op("add", register, register, "r9", "lsl #1")
            base, at = ("r1", "r2")[index // 3], index % 3 * form.position_bytes + 4 * odd
            a.op("str.w", register, f"[{base}, #{at}]")
    add_constant(a, "r1", "r2", 3 * form.position_bytes)
    a.op("add", "r9", "sp", f"#{frame.bytes + half}")
    a.op("cmp", "r12", "r9")
    a.branch("bne", "column")
    frame.load_all(a, (("r0", "window"), ("r1", "inputs"), ("r2", "channels_end")))
    a.op("adds", "r0", "#4")
    a.op("adds", "r1", "#8")
    a.op("cmp", "r0", "r2")
    a.branch("bne", "channels")
    frame.leave(a, 2 * half)
    return a


def _transform_input(a: Listing) -> tuple[str, ...]:
    """B times the six words of _TILE, by 12 instructions: the registers of the results in order; uses r9 and r10."""
    d0, d1, d2, d3, d4, d5 = _TILE
    a.op("sub", "r9", d4, d2, "lsl #2", note="d4 - 4 d2")
    a.op("sub", "r10", d3, d1, "lsl #2", note="d3 - 4 d1")
    a.op("sub.w", d4, d4, d2)
    a.op("sub.w", d1, d3, d1)
    a.op("sub.w", d2, "r9", d2)
    a.op("add", d0, d2, d0, "lsl #2", note="position 0")
    a.op("sub", d5, d5, d3, "lsl #2")
    a.op("sub.w", d5, d5, "r10", note="position 5")
    a.op("add", d2, d4, d1, "lsl #1", note="position 3")
    a.op("sub", d4, d4, d1, "lsl #1", note="position 4")
    a.op("add", d1, "r9", "r10", note="position 1")
    a.op("sub", d3, "r9", "r10", note="position 2")
    return d0, d1, d3, d2, d4, d5


_PRODUCTS = ("r4", "r5", "r6", "r7", "r8", "r9")
_LINE_BYTES = 28
"""Of a half-transformed row: its factor and six values."""


def output_listing(form: WinogradForm, has_fpu: bool) -> Listing:
    """void f(const thimble_winograd_output_job *): two channels of some tiles of one row of tiles."""
    a = Listing(f"thimble_winograd_output_dsp_{form.name}")
    job = ("products", "output", "last_output", "constants")
    names = (*job, "channel_output", "lines_end")
    frame = Frame(names, names, has_fpu)
    a.op("push", registers(["r4-r11", "lr"]))
    a.op("ldm", "r0", "{r1-r5}", note="the job's fields")
    a.op("sub", "sp", "sp", f"#{frame.bytes + 4 * _LINE_BYTES}")
    for register, name in zip(("r1", "r2", "r3", "r4"), job, strict=True):
        frame.store(a, register, name)
    a.op("add", "r6", "sp", f"#{frame.bytes}")
    a.op("movs", "r7", f"#{_LINE_BYTES}")
    a.op("mla", "r5", "r5", "r7", "r6")
    frame.store(a, "r5", "lines_end")
    a.op("movw", "r3", f"#{INVERSE_OF_9 & 0xFFFF}", note="the inverse of 9")
    a.op("movt", "r3", f"#{INVERSE_OF_9 >> 16}")
    for row, bits in enumerate(OUTPUT_BITS):
        if row and bits > OUTPUT_BITS[row - 1]:
            a.op("lsls", "r3", "r3", "#1")
        a.op("str", "r3", f"[r6, #{row * _LINE_BYTES}]")
    a.op("mov", "r0", "r1")
    a.op("mov", "r1", "r2")
    a.label("channel", f"1 tile, 1 channel: about {4 * form.row_cycles + 160} cycles")
    frame.store(a, "r1", "channel_output")
    for column in range(6):
        a.op("ldm", "r0!", registers(_PRODUCTS))
        for row, register in enumerate(_transform_products(a)):
            a.op("str", register, f"[sp, #{frame.bytes + row * _LINE_BYTES + 4 * (column + 1)}]")
    frame.load(a, "r2", "constants")
    frame.store(a, "r0", "products")
    a.op("ldm", "r2", "{r2, r3, r11, r12}", note="bias, multiplier, addend, shift")
    a.op("add", "lr", "sp", f"#{frame.bytes}")
    a.op(".balign", 4)
    a.label("row", f"{form.row_cycles} cycles, 4 outputs")
    _requantize_row(a, form)
    add_constant(a, "r1", "r1", form.row_bytes, free="r10")
    frame.load(a, "r10", "lines_end")
    a.op("cmp", "lr", "r10")
    a.branch("bne", "row")
    _next_channel(a, frame, form)
    return a


def _transform_products(a: Listing) -> tuple[str, ...]:
    """A times the six words of _PRODUCTS, by 10 instructions: the registers of the results in order; uses r10."""
    m0, m1, m2, m3, m4, m5 = _PRODUCTS
    a.op("add", "r10", m1, m2)
    a.op("sub.w", m1, m2, m1)
    a.op("add.w", m2, m3, m4)
    a.op("sub.w", m3, m3, m4)
    a.op("sub", m4, m2, "r10", note="output 2")
    a.op("sub", m2, m2, "r10", "lsl #2")
    a.op("add", m0, m2, m0, "lsl #1", note="output 0")
    a.op("add", m2, m1, m3, "lsl #1")
    a.op("add", m1, m3, m1, "lsl #1", note="output 1")
    a.op("add", m5, m2, m5, "lsl #1", note="output 3")
    return m0, m1, m4, m5


def _requantize_row(a: Listing, form: WinogradForm) -> None:
    """The line at lr to int8: its first word is the inverse of 9 times 2**f[row]."""
    a.op("ldm", "lr!", registers(["r0", *_PRODUCTS]))
    outputs = _transform_products(a)
    for register, shift in zip(outputs, OUTPUT_BITS, strict=True):
        if shift:
            a.op("lsl.w", register, register, f"#{shift}")
        a.op("mla", register, register, "r0", "r2", note="64 times the sum")
    for column, register in enumerate(outputs):
        if form.rounds_ties:
            a.op("asr", "r10", register, "#31")
        a.op("smmla", register, register, "r3", "r11")
        if form.rounds_ties:
            a.op("add", register, register, "r10", f"lsl #{SCALE_BITS - 1}", note="halves away from zero")
        a.op("asr", register, register, "r12")
        a.op("ssat", register, "#8", register)
        a.op("strb.w", register, f"[r1, #{column * form.outputs}]")


def _next_channel(a: Listing, frame: Frame, form: WinogradForm) -> None:
    """The other channel, then the next tile; at the end of a row it may overlap the one before."""
    frame.load_all(a, (("r0", "products"), ("r1", "channel_output"), ("r2", "constants"), ("r3", "output")))
    a.op("cmp", "r1", "r3")
    a.op("itt", "eq")
    a.op("addeq", "r2", "#16")
    a.op("addeq", "r1", "#1")
    frame.store(a, "r2", "constants")
    a.branch("beq", "channel")
    frame.load(a, "r4", "last_output")
    a.op("subs", "r2", "#16")
    frame.store(a, "r2", "constants")
    a.op("cmp", "r3", "r4")
    a.branch("beq", "end")
    a.op("add", "r1", "r3", f"#{4 * form.outputs}")
    a.op("cmp", "r1", "r4")
    a.op("it", "hi")
    a.op("movhi", "r1", "r4")
    frame.store(a, "r1", "output")
    a.branch("b", "channel")
    a.label("end")
    frame.leave(a, 4 * _LINE_BYTES)


def winograd_source(form: WinogradForm, has_fpu: bool) -> GeneratedKernel:
    """The files of kernel conv_2d_winograd_dsp_<form>: the assembly, and the kernel that uses it or its twin."""
    name = f"thimble_conv_2d_winograd_dsp_{form.name}"
    makers = (input_listing, products_listing, output_listing)
    assembly = "\n\n".join(make(form, has_fpu).text for make in makers)
    files = (
        (f"{name}.c", render("conv_2d_winograd_dsp.c.j2", form=form, assembly=assembly)),
        (f"{name}.h", render("conv_2d_winograd_dsp.h.j2", form=form)),
    )
    return GeneratedKernel(files, needs=("winograd_dsp",))
