"""The assembly that lays out rows of four channels as planes of int16, for the functions of depthwise.py.

Two pixels make a word of each channel: PKHBT and PKHTB bring their bytes together, SXTB16 widens them. Word i of four
channels lies side by side at 16 * i, so that all stores have immediate offsets and take a cycle each. Four pixels are
27 cycles and the end of a turn 5: 2 a value.
"""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import Frame, Listing
from thimble.codegen.armv7em.rendering import render

LANES = 4
"""Channels whose planes lie side by side."""

WORD_BYTES = 4 * LANES
"""From one word of a channel's plane to the next."""

FOUR = 4
"""Pixels that are laid out in a turn of the loop."""

JOB = (
    "planes", "packed", "outputs", "outputs_end", "channels", "ceiling", "offset", "common_addend",
    "weights", "quad_bytes", "inputs", "inputs_end", "to", "pixel_bytes", "border", "leads", "fours_bytes", "twos",
    "ones", "next_bytes",
)  # fmt: skip
"""The fields of thimble_planes_job, words all."""

FILLED_JOB = JOB[: JOB.index("quad_bytes") + 1]
"""Those that are read where the planes are there."""

NAMES = (
    "bias", "multiplier", "addend", "shift", "output", "row_end", "rows_end", "next_row", "outputs_end", "weights",
    "weights_end", "row_weights", "data_end", "channel", "x", "outputs", "fours_bytes", "pixel_bytes", "from",
    "next_bytes", "border", "ceiling", "offset", "common_addend", "planes", "packed", "channels", "inputs",
    "inputs_end", "to", "leads", "twos", "ones", "back", "quad_bytes",
)  # fmt: skip
"""What a depthwise function and this one keep outside of core registers, the most used first: FPU registers have room
for so many."""


@dataclass(frozen=True, slots=True)
class FillShape:
    """Of what rows of planes are made: a border and a pixel, fours of pixels or `one_four`, two more, a pixel and a
    border."""

    leads: bool
    fours: bool
    one_four: bool
    twos: bool
    ones: bool

    @classmethod
    def of(cls, pad_left: int, width: int) -> FillShape:
        """The shape of rows of `width` pixels behind a border, which thimble_planes_dsp.c counts in the same way."""
        leads = pad_left % 2
        pixels = width - leads
        fours = pixels // FOUR
        return cls(leads > 0, fours > 1, fours == 1, pixels // 2 % 2 > 0, pixels % 2 > 0)

    @property
    def name(self) -> str:
        """A short name, a part of C names."""
        return "l" * self.leads + "f" * self.fours + "q" * self.one_four + "t" * self.twos + "o" * self.ones or "none"


def fill_function(shape: FillShape | None) -> str:
    """The C name of the function for rows of a shape, or of that for all shapes."""
    return f"thimble_fill_planes_dsp_{shape.name}" if shape else "thimble_fill_planes_dsp"


def fill_listing(shape: FillShape | None, has_fpu: bool) -> Listing:
    """Called by depthwise functions alone: it has their frame, and leaves no core register as it was.

    r0 pixels, r1 planes, r2 bytes of a pixel, r10 of three, r3 to r6 pixels, r7 to r9 what becomes of them, r11 end of
    the fours, r12 four bytes of border, lr the next row's address.
    """
    a, frame = Listing(fill_function(shape)), Frame(NAMES, NAMES, has_fpu)
    frame.store(a, "lr", "back")
    frame.load(a, "lr", "inputs")
    frame.load(a, "r3", "inputs_end")
    frame.load(a, "r1", "to")
    frame.load(a, "r2", "pixel_bytes")
    frame.load(a, "r12", "border")
    a.op("add", "r10", "r2", "r2", "lsl #1")
    a.op("cmp", "lr", "r3")
    a.branch("beq", "end", note="nothing but borders")
    a.label("row")
    a.op("ldr", "r0", "[lr], #4")
    frame.load(a, "r3", "from")
    a.op("add", "r0", "r0", "r3")
    if _begins(a, frame, None if shape is None else shape.leads, "leads", "lead"):
        a.op("ldr", "r4", "[r0]", note="a border and the first pixel")
        a.op("add", "r0", "r0", "r2")
        _pair(a, "r12", "r4", "r4", 0)
        a.op("adds", "r1", f"#{WORD_BYTES}")
    a.label("lead")
    if shape is None or shape.fours:
        _fours(a, frame, may_lack=shape is None)
    elif shape.one_four:
        _four(a)
    if _begins(a, frame, None if shape is None else shape.twos, "twos", "two"):
        a.op("ldr", "r3", "[r0]")
        a.op("ldr", "r4", "[r0, r2]")
        a.op("add", "r0", "r0", "r2", "lsl #1")
        _pair(a, "r3", "r4", "r4", 0)
        a.op("adds", "r1", f"#{WORD_BYTES}")
    a.label("two")
    if _begins(a, frame, None if shape is None else shape.ones, "ones", "one"):
        a.op("ldr", "r3", "[r0]", note="the last pixel and a border")
        _pair(a, "r3", "r12", "r3", 0)
        a.op("adds", "r1", f"#{WORD_BYTES}")
    a.label("one")
    frame.load(a, "r3", "next_bytes")
    frame.load(a, "r4", "inputs_end")
    a.op("add", "r1", "r1", "r3")
    a.op("cmp", "lr", "r4")
    a.branch("bne", "row")
    a.label("end")
    frame.load(a, "r0", "back")
    a.op("bx", "r0")
    return a


def _begins(a: Listing, frame: Frame, known: bool | None, flag: str, end: str) -> bool:
    """Whether there is code for a part of a row: where its shape is not `known`, a branch to `end` may go around it."""
    if known is None:
        frame.load(a, "r3", flag)
        a.op("cmp", "r3", "#0")
        a.branch("beq", end)
    return known is not False


def _fours(a: Listing, frame: Frame, may_lack: bool) -> None:
    frame.load(a, "r11", "fours_bytes")
    a.op("add", "r11", "r11", "r0")
    if may_lack:
        a.op("cmp", "r0", "r11")
        a.branch("beq", "fours_end")
    a.op(".balign", 4)
    a.label("four", "pixels")
    _four(a)
    a.op("cmp", "r0", "r11")
    a.branch("bne", "four")
    a.label("fours_end")


def _four(a: Listing) -> None:
    """Four pixels at r0 to two words of each channel."""
    a.op("ldr", "r3", "[r0]")
    a.op("ldr", "r4", "[r0, r2]")
    a.op("ldr", "r5", "[r0, r2, lsl #1]")
    a.op("ldr", "r6", "[r0, r10]")
    a.op("add", "r0", "r0", "r2", "lsl #2")
    _pair(a, "r3", "r4", "r4", 0, moves=2 * WORD_BYTES)
    _pair(a, "r5", "r6", "r6", -WORD_BYTES)


def _pair(a: Listing, first: str, second: str, spare: str, offset: int, moves: int = 0) -> None:
    """Two pixels to a word of each channel; `spare` is one of them that may be lost. The first store moves r1 on."""
    a.op("pkhbt", "r7", first, second, "lsl #16", note="channels 0 and 1")
    a.op("pkhtb", "r8", second, first, "asr #16", note="channels 2 and 3")
    a.op("sxtb16", "r9", "r7")
    a.op("sxtb16", "r7", "r7", "ror #8")
    a.op("sxtb16", spare, "r8")
    a.op("sxtb16", "r8", "r8", "ror #8")
    a.op("str", "r9", *(("[r1]", f"#{moves}") if moves else (f"[r1, #{offset}]",)))
    for i, register in enumerate(("r7", spare, "r8"), start=1):
        a.op("str.w", register, f"[r1, #{offset - moves + 4 * i}]")


def fill_file(shape: FillShape | None, has_fpu: bool) -> tuple[str, str]:
    """Name and text of the C file."""
    text = render("fill_planes_dsp.c.j2", assembly=fill_listing(shape, has_fpu).text)
    return f"{fill_function(shape)}.c", text
