"""Winograd on Armv7E-M: tiles of the input before the products, tiles of the output behind them."""

from __future__ import annotations

from thimble.codegen.armv7em.assembly import Frame, Listing, add_constant, registers
from thimble.codegen.armv7em.sums_to_bytes import scale_sum
from thimble.codegen.armv7em.winograd import INVERSE_OF_9, OUTPUT_BITS, POSITIONS, SCALE_BITS, WinogradForm

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
    a = Listing(f"thimble_winograd_output_dsp_{form.name}", output_apart=True)
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
        scale_sum(a, register, "r3", "r11", SCALE_BITS, rounds_ties=form.rounds_ties, spare="r10")
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
