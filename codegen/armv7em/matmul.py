"""The matrix product at the heart of convolutions: 4 columns (pixels) by 2 output channels at a time.

Weights stay int8 in flash and are read by words of four; one SXTB16 in place makes both operands of them. Pairs of
weights are stored as the exact 16-bit value 256 * w1 + w0, so that the word itself is the operand (w1, w3) of a sum
that is scaled by 256, and its sign-extended even bytes are (w0, w2). The columns are prepared to match:

    odd  = (x1, x3)                                    sum += odd . (256 w1 + w0, 256 w3 + w2)
    even = (256 x0 - x1 + 127, 256 x2 - x3 + 127)      sum += even . (w0, w2)

which gives 256 * (x . w) + 127 * (w0 + w2), exactly; the last term is taken off the bias. It fills 16 bits to the last
value, and needs |w1| <= 127 and final sums below 2**23. Where that cannot be proved, the plain form multiplies
(x0, x2) . (w0, w2) + (x1, x3) . (w1, w3), at two loads and two SXTB16 more for 32 products.
"""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import Frame, Listing, registers
from thimble.codegen.armv7em.rendering import render
from thimble.compiler.ir.operator import GeneratedKernel

UNROLL = 4
"""Steps of four products in one turn of the inner loop: all offsets still fit 16-bit loads."""

SUMS = ("r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")
"""Sum of column p and channel c: SUMS[2 * p + c]."""

_JOB = ("panel", "weights", "pair_bytes", "outputs", "outputs_end", "channels", "ceiling", "offset")
_NAMES = (*_JOB, "channel", "weights_end", "next_panel", "next_output")


@dataclass(frozen=True, slots=True)
class MatmulForm:
    """What one matrix product function is generated for.

    `folded`: weights as 256 * w1 + w0, else plain bytes. `first_steps`: depth / 4 modulo UNROLL. `scale_bits`: sums are
    scaled by this power of 2 before requantization; 8 where folded. `has_fpu`: the core has registers to spare. `rounds_ties`: results below the zero point
    matter, so that halves must be rounded away from zero. `clamps`: the output limits lie inside those of int8.
    """

    folded: bool
    first_steps: int
    scale_bits: int
    rounds_ties: bool
    clamps: bool
    has_fpu: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        weights = "f" if self.folded else f"p{self.scale_bits}"
        return f"{weights}{'t' * self.rounds_ties}{'c' * self.clamps}{self.first_steps}"

    @property
    def comment(self) -> str:
        """What the form means, for the reader of the C."""
        weights = "Weights folded as 256 * w1 + w0" if self.folded else "Weights as plain bytes"
        limits = "inside int8" if self.clamps else "of int8"
        ties = "halves away from zero" if self.rounds_ties else "nothing below the zero point"
        return f"{weights}; output limits {limits}, {ties}; depth / 4 modulo {UNROLL} is {self.first_steps}."


def matmul_listing(form: MatmulForm) -> Listing:
    """The function of a form, to be called with a thimble_matmul_job."""
    a, frame = Listing(f"thimble_matmul_dsp_{form.name}"), Frame(_NAMES, _NAMES, form.has_fpu)
    a.op("push", registers(["r4-r11", "lr"]))
    a.op("ldm", "r0", "{r1-r8}", note="the job's fields")
    a.op("sub", "sp", "sp", f"#{frame.bytes}")
    a.op("sub", "r1", "r1", "#4", note="loads are 4 bytes ahead of their base")
    for register, name in zip(("r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8"), _JOB, strict=True):
        frame.store(a, register, name)
    a.op("add", "r0", "r2", "r3")
    a.op("sub", "r0", "r0", "#28")
    frame.store(a, "r0", "weights_end")
    a.op("movs", "r0", "#0")
    frame.store(a, "r0", "channel")
    a.label("pair")
    frame.load(a, "r3", "outputs")
    frame.load(a, "r0", "panel")
    frame.store(a, "r3", "next_output")
    frame.load(a, "r1", "weights")
    a.label("group", "4 columns, 2 channels")
    _start_sums(a, form)
    a.op(".balign", 4, note="so that no 32-bit instruction of the loop crosses a word")
    a.label("turn", f"{_turn_cycles(form)} cycles, {UNROLL * 32} products")
    for step in range(UNROLL):
        if form.first_steps and step == UNROLL - form.first_steps:
            a.label("entry")
        _step(a, form, step)
    frame.load(a, "r2", "weights_end")
    a.op("cmp", "r1", "r2")
    a.branch("bne", "turn")
    frame.store(a, "r0", "next_panel")
    a.op("adds", "r1", "#4")
    for channel in range(2):
        _requantize(a, form, channel)
    _write(a, frame, form)
    _next(a, frame)
    return a


def _turn_cycles(form: MatmulForm) -> int:
    """Loads of one group pipeline: the first takes 2 cycles, each other one 1; the end of the turn takes 6."""
    loads, groups, others = (10, 4, 18) if form.folded else (12, 4, 20)
    return UNROLL * (loads + groups + others) + 6


def _start_sums(a: Listing, form: MatmulForm) -> None:
    """All sums begin with the bias; the inner loop is entered in the middle where the depth is no multiple of a turn."""
    a.op("ldr", SUMS[1], "[r1, #4]", note="bias of the second channel")
    a.op("ldr", SUMS[0], "[r1], #4", note="of the first")
    for column in range(1, 4):
        a.op("mov", SUMS[2 * column], SUMS[0])
        a.op("mov", SUMS[2 * column + 1], SUMS[1])
    if form.first_steps:
        missing = UNROLL - form.first_steps
        a.op("sub", "r0", "r0", f"#{32 * missing}")
        a.op("sub", "r1", "r1", f"#{8 * missing}")
        a.branch("b", "entry")


def _step(a: Listing, form: MatmulForm, step: int) -> None:
    """Four products for each of 4 columns and 2 channels: r2, r3 weights, r4, r5 columns, r0 panel, r1 weights."""
    last = step == UNROLL - 1
    for half in range(2):
        ends_weights = last and (form.folded or half == 1)
        if half == 0 or not form.folded:
            a.op("ldr", "r2", f"[r1, #{8 * step + 4}]")
            a.op("ldr", "r3", f"[r1, #{8 * step + 8}]" + ("!" if ends_weights else ""))
        for pair in range(2):
            at = 32 * step + 16 * half + 8 * pair + 4
            a.op("ldr", "r4", f"[r0, #{at}]")
            a.op("ldr", "r5", f"[r0, #{at + 4}]" + ("!" if last and half == 1 and pair == 1 else ""))
            if pair == 0:
                _extend_weights(a, form, half)
            for i, column in enumerate(("r4", "r5")):
                for channel, weights in enumerate(("r2", "r3")):
                    total = SUMS[2 * (2 * pair + i) + channel]
                    a.op("smlad", total, column, weights, total)


def _extend_weights(a: Listing, form: MatmulForm, half: int) -> None:
    if form.folded and half == 0:
        return
    odd = () if form.folded or half == 0 else ("ror #8",)
    for register in ("r2", "r3"):
        a.op("sxtb16", register, register, *odd)


def _requantize(a: Listing, form: MatmulForm, channel: int) -> None:
    """The four sums of a channel to int8: SMMLA with both rounding terms and the zero point in its addend."""
    a.op("ldm", "r1!", "{r2, r3, r4}", note="multiplier, addend, shift")
    for total in SUMS[channel::2]:
        if not form.folded:
            a.op("lsl", total, total, f"#{form.scale_bits}")
        if form.rounds_ties:
            a.op("asr", "r5", total, "#31")
        a.op("smmla", total, total, "r2", "r3")
        if form.rounds_ties:
            a.op("add", total, total, "r5", f"lsl #{form.scale_bits - 1}", note="halves away from zero")
        a.op("asr", total, total, "r4")
        a.op("usat" if form.clamps else "ssat", total, "#8", total, note="0 is the lower limit" * form.clamps)


def _write(a: Listing, frame: Frame, form: MatmulForm) -> None:
    """Both channels of each column as one halfword, to where its pixel lies."""
    frame.load(a, "r0", "next_output")
    a.op("ldm", "r0!", "{r2-r5}", note="four pixels")
    frame.store(a, "r0", "next_output")
    for column in range(4):
        a.op("bfi", SUMS[2 * column], SUMS[2 * column + 1], "#8", "#8")
    if form.clamps:
        frame.load(a, SUMS[1], "ceiling")
        frame.load(a, SUMS[3], "offset")
        for total in SUMS[::2]:
            a.op("uqadd8", total, total, SUMS[1], note="saturates at the upper limit")
            a.op("uadd8", total, total, SUMS[3])
    frame.load(a, SUMS[1], "channel")
    for total, pixel in zip(SUMS[::2], ("r2", "r3", "r4", "r5"), strict=True):
        a.op("strh", total, f"[{pixel}, {SUMS[1]}]")


def _next(a: Listing, frame: Frame) -> None:
    """The next four columns, then the next pair of channels."""
    frame.load(a, "r2", "outputs_end")
    frame.load(a, "r1", "weights")
    a.op("cmp", "r0", "r2")
    frame.load(a, "r0", "next_panel")
    a.branch("bne", "group")
    frame.load(a, "r3", "pair_bytes")
    frame.load(a, "r4", "weights_end")
    frame.load(a, "r5", "channels")
    a.op("add", "r1", "r1", "r3")
    a.op("add", "r4", "r4", "r3")
    frame.store(a, "r1", "weights")
    frame.store(a, "r4", "weights_end")
    a.op("adds", SUMS[1], "#2")
    a.op("subs", "r2", "r5", "#2", note="the last pair of an odd number of channels begins one earlier")
    a.op("cmp", SUMS[1], "r2")
    a.op("it", "gt")
    a.op("movgt", SUMS[3], "r2")
    a.op("it", "le")
    a.op("movle", SUMS[3], SUMS[1])
    frame.store(a, SUMS[3], "channel")
    a.op("cmp", SUMS[1], "r5")
    a.branch("blt", "pair")
    a.op("add", "sp", "sp", f"#{frame.bytes}")
    a.op("pop", registers(["r4-r11", "pc"]))


def conv_2d_source(form: MatmulForm) -> GeneratedKernel:
    """The files of kernel conv_2d_dsp_<form>: the assembly, its portable twin, and the kernel that uses them."""
    name = f"thimble_conv_2d_dsp_{form.name}"
    files = (
        (f"{name}.c", render("conv_2d_dsp.c.j2", form=form, assembly=matmul_listing(form).text)),
        (f"{name}.h", render("conv_2d_dsp.h.j2", form=form)),
    )
    return GeneratedKernel(files, needs=("columns_dsp",))
