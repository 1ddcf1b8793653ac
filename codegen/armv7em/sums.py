"""Sums of products of four pixels and two output channels: what the matrix products of this family share.

Weights stay int8 and are read by words of four; one SXTB16 in place makes both operands of them. Pairs of weights are
stored as the exact 16-bit value 256 * w1 + w0, so that the word itself is the operand (w1, w3) of a sum that is scaled
by 256, and its sign-extended even bytes are (w0, w2). The pixels are widened to match:

    odd  = (x1, x3)                                    sum += odd . (256 w1 + w0, 256 w3 + w2)
    even = (256 x0 - x1 + 127, 256 x2 - x3 + 127)      sum += even . (w0, w2)

which gives 256 * (x . w) + 127 * (w0 + w2), exactly; the last term is taken off the bias. It fills 16 bits to the last
value, and needs |w1| <= 127 and final sums below 2**23. Where that cannot be proved, the plain form multiplies
(x0, x2) . (w0, w2) + (x1, x3) . (w1, w3), at two loads and two SXTB16 more for 32 products.
"""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import Frame, Listing, registers
from thimble.codegen.armv7em.sums_to_bytes import scale_sum

SUMS = ("r6", "r7", "r8", "r9", "r10", "r11", "r12", "lr")
"""Sum of pixel p and channel c: SUMS[2 * p + c]."""

CONSTANTS = ("bias_0", "bias_1", "multiplier_0", "addend_0", "shift_0", "multiplier_1", "addend_1", "shift_1")
"""Variables of a frame: those of the two channels."""

WEIGHTS = ("r2", "r3")
PIXELS = ("r4", "r5")


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """How sums are made and requantized.

    `folded`: weights as 256 * w1 + w0, else plain bytes. `scale_bits`: sums are scaled by this power of 2 before
    requantization; 8 where folded. `rounds_ties`: results below the zero point matter, so that halves must be rounded
    away from zero. `clamps`: the output limits lie inside those of int8. `shift`: the last shift of all channels, whose
    sums begin with all that is to be added (shared_shift.py); 0 where each has its own, and an addend.
    """

    folded: bool
    scale_bits: int
    rounds_ties: bool
    clamps: bool
    shift: int = 0

    @property
    def name(self) -> str:
        """A short name, a part of C names."""
        weights = "f" if self.folded else f"p{self.scale_bits}"
        return f"{weights}{'t' * self.rounds_ties}{'c' * self.clamps}{f'h{self.shift}' * (self.shift > 0)}"

    @property
    def comment(self) -> str:
        """What it means, for the reader of the C."""
        weights = "Weights folded as 256 * w1 + w0" if self.folded else "Weights as plain bytes"
        limits = "inside int8" if self.clamps else "of int8"
        ties = "halves away from zero" if self.rounds_ties else "nothing below the zero point"
        shift = "one last shift" if self.shift else "a last shift for each channel"
        return f"{weights}; output limits {limits}, {ties}; {shift}."

    @property
    def constant_words(self) -> int:
        """Words behind a pair's weights: multipliers, or multiplier, addend and shift of both channels."""
        return 2 if self.shift else 6

    @property
    def pair_bytes(self) -> int:
        """Bytes of a pair's table beside its weights: biases and constants."""
        return 4 * (2 + self.constant_words)

    @property
    def behind_bytes(self) -> int:
        """From where r1, 4 bytes low, is behind the last weights to the end of a pair's table."""
        return 4 * (1 + self.constant_words)

    @property
    def step_bytes(self) -> int:
        """Code of 32 products."""
        return 108 if self.folded else 120

    @property
    def end_bytes(self) -> int:
        """Code of the end of a group of 4 pixels and 2 channels: 8 instructions for each that is not always there."""
        shifts = 0 if self.shift else 48
        return 208 + shifts + 32 * (2 * self.rounds_ties + (not self.folded)) + 40 * self.clamps

    @property
    def step_cycles(self) -> int:
        """Cycles of 32 products: loads of a group pipeline, the first taking 2 cycles and each other one 1."""
        loads, groups, others = (10, 4, 18) if self.folded else (12, 4, 20)
        return loads + groups + others


def keep_constants(a: Listing, frame: Frame, arithmetic: Arithmetic) -> None:
    """A pair's biases and constants to the frame: its table begins at r1 and ends at r3."""
    names = ("multiplier_0", "multiplier_1") if arithmetic.shift else CONSTANTS[2:]
    held = tuple(f"r{number}" for number in range(4, 4 + len(names)))
    a.op("ldm", "r1", "{r4, r5}", note="biases")
    a.op("sub", "r6", "r3", f"#{4 * arithmetic.constant_words}")
    frame.store(a, "r4", CONSTANTS[0])
    frame.store(a, "r5", CONSTANTS[1])
    a.op("ldm", "r6", registers(held), note=f"{names[0][:-2]}{', addend, shift' * (not arithmetic.shift)} of both")
    for register, name in zip(held, names, strict=True):
        frame.store(a, register, name)


def start_sums(a: Listing, frame: Frame, copies: bool = True) -> None:
    """The sums of all pixels begin with the biases; without copies only those of pixel 0, for multiply() to read."""
    frame.load(a, SUMS[0], CONSTANTS[0])
    frame.load(a, SUMS[1], CONSTANTS[1])
    if copies:
        for pixel in range(1, 4):
            a.op("mov", SUMS[2 * pixel], SUMS[0])
            a.op("mov", SUMS[2 * pixel + 1], SUMS[1])


def load_weights(a: Listing, arithmetic: Arithmetic, step: int, half: int, ends: bool = False) -> None:
    """The words of both channels for a step of a turn; `ends`: r1 moves on behind this step's.

    Two loads are both of 16 or both of 32 bits, so that what follows stays aligned.
    """
    if half == 0 or not arithmetic.folded:
        moves = ends and (half == 1 or arithmetic.folded)
        load = "ldr.w" if moves else "ldr"
        a.op(load, "r2", f"[r1, #{8 * step + 4}]")
        a.op(load, "r3", f"[r1, #{8 * step + 8}]" + "!" * moves)


def extend_weights(a: Listing, arithmetic: Arithmetic, half: int) -> None:
    """Make the words the operands of the first half of a step, or of the second."""
    if arithmetic.folded and half == 0:
        return
    odd = () if arithmetic.folded or half == 0 else ("ror #8",)
    for register in WEIGHTS:
        a.op("sxtb16", register, register, *odd)


def multiply(a: Listing, pixels: tuple[int, int], starts: bool = False) -> None:
    """Two products each of the two pixels in r4 and r5 with both channels: 4 cycles, 8 products.

    Where it `starts` the sums, all begin with those of pixel 0, which therefore comes last.
    """
    for pixel, register in zip(pixels, PIXELS, strict=True):
        for channel, weights in enumerate(WEIGHTS):
            total = SUMS[2 * pixel + channel]
            a.op("smlad", total, register, weights, SUMS[channel] if starts else total)


def multiply_single(a: Listing, arithmetic: Arithmetic, step: int, first: int, second: int) -> None:
    """8 products of one pixel, whose words lie at r0 + first and r0 + second, in SUMS[0] and SUMS[1]: 11 cycles."""
    lanes = WEIGHTS if arithmetic.folded else ("r9", "r10")
    a.op("ldr", "r2", f"[r1, #{8 * step + 4}]")
    a.op("ldr", "r3", f"[r1, #{8 * step + 8}]")
    a.op("ldr", "r4", f"[r0, #{first}]")
    a.op("ldr", "r5", f"[r0, #{second}]")
    if not arithmetic.folded:
        for to, word in zip(lanes, WEIGHTS, strict=True):
            a.op("sxtb16", to, word)
    for total, word in zip(SUMS, lanes, strict=False):
        a.op("smlad", total, "r4", word, total)
    for word in WEIGHTS:
        a.op("sxtb16", word, word, *(() if arithmetic.folded else ("ror #8",)))
    for total, word in zip(SUMS, WEIGHTS, strict=False):
        a.op("smlad", total, "r5", word, total)


def requantize(a: Listing, frame: Frame, arithmetic: Arithmetic, pixels: int = 4) -> None:
    """The sums of these pixels to int8: SMMUL, or SMMLA with both rounding terms and the zero point in its addend."""
    for channel in range(2):
        constants = ("multiplier",) if arithmetic.shift else ("multiplier", "addend", "shift")
        for register, name in zip(("r2", "r3", "r4"), constants, strict=False):
            frame.load(a, register, f"{name}_{channel}")
        for total in SUMS[channel : 2 * pixels : 2]:
            if arithmetic.shift:
                a.op("smmul", total, total, "r2")
                a.op("usat" if arithmetic.clamps else "ssat", total, "#8", total, f"asr #{arithmetic.shift}")
            else:
                _requantize_by_channel(a, arithmetic, total)


def _requantize_by_channel(a: Listing, arithmetic: Arithmetic, total: str) -> None:
    """One sum with the channel's multiplier, addend and shift in r2, r3 and r4."""
    if not arithmetic.folded:
        a.op("lsl", total, total, f"#{arithmetic.scale_bits}")
    scale_sum(a, total, "r2", "r3", arithmetic.scale_bits, rounds_ties=arithmetic.rounds_ties, spare="r5")
    a.op("asr", total, total, "r4")
    a.op("usat" if arithmetic.clamps else "ssat", total, "#8", total)


def join_channels(a: Listing, frame: Frame, arithmetic: Arithmetic, pixels: int = 4) -> None:
    """Both channels of each pixel as one halfword in the pixel's first sum; the second sums are free afterwards."""
    for pixel in range(pixels):
        a.op("bfi", SUMS[2 * pixel], SUMS[2 * pixel + 1], "#8", "#8")
    if arithmetic.clamps:
        frame.load(a, SUMS[1], "ceiling")
        frame.load(a, SUMS[3], "offset")
        for total in SUMS[: 2 * pixels : 2]:
            a.op("uqadd8", total, total, SUMS[1], note="saturates at the upper limit")
            a.op("uadd8", total, total, SUMS[3])


def next_pair(a: Listing, frame: Frame, pair: str) -> None:
    """On to label `pair` with the next two channels, in `channel`; behind the last ones the function returns."""
    frame.load(a, "r2", "pairs_done")
    frame.load(a, "r5", "channels")
    a.op("adds", "r2", "#2")
    frame.store(a, "r2", "pairs_done")
    a.op("subs", "r3", "r5", "#2", note="the last pair of an odd number of channels begins one earlier")
    a.op("cmp", "r2", "r3")
    a.op("it", "lt")
    a.op("movlt", "r3", "r2")
    frame.store(a, "r3", "channel")
    a.op("cmp", "r2", "r5")
    a.branch("blt", pair)
    frame.leave(a)
