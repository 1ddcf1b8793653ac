"""Depthwise convolution along planes: one channel at a time, four outputs of a row at a time.

The rows that some output rows need are laid out first as planes of int16, one a channel, borders included, so that one
SMLAD makes two products. Element 0 of a plane's row lies under the first tap of the row's first output. Word i of the
weights of a kernel row holds taps i and i + 1: windows that begin at an even element take words 0, 2, ..., those that
begin at an odd one 1, 3, ..., and a tap that is left over at either end takes one half of a word: SMLABB, SMLABT,
SMLATB. Weights are multiplied by a power of 2 of their channel, so that all channels need the same last shift, which
SSAT has for free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import Frame, Listing, registers

RESIDENT = ("r4", "r5", "r6", "r7", "r8", "r9")
SUMS = ("r10", "r11", "r12", "lr")
DATA = ("r1", "r2", "r3")
MAX_OFFSET = 4095
"""Largest immediate offset of a load."""

_JOB = ("planes", "packed", "plane_bytes", "outputs", "outputs_end", "channels", "ceiling", "offset")
_CHANNEL = ("bias", "multiplier", "addend", "shift", "weights", "weights_end")
_FAST = (*_CHANNEL, "output", "row_end", "ceiling", "offset", "x", "next_row")
_NAMES = (*_JOB, "channel", "output", "row_end", "next_row", "x", *_CHANNEL)


@dataclass(frozen=True, slots=True)
class Word:
    """Two weights of a kernel row: taps `first` and first + 1; the second one is absent in a kernel of one tap."""

    first: int


@dataclass(frozen=True, slots=True)
class DepthwiseForm:
    """What one depthwise function is generated for: sizes in elements.

    `row_bytes` lie between the data of one kernel row and the next: a plane's row. Of images of one row (`one_row`) it
    may be less, where a long kernel row is cut into shorter ones.
    `total_shift` is the last shift of all channels, None where each has its own; then all sums are scaled by
    2**scale_bits, and `rounds_ties` is possible. `clamps`: the output limits lie inside those of int8.
    """

    kernel_height: int
    kernel_width: int
    stride: int
    output_width: int
    channels: int
    row_bytes: int
    total_shift: int | None
    scale_bits: int
    rounds_ties: bool
    clamps: bool
    has_fpu: bool
    one_row: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        shift = f"v{self.scale_bits}" if self.total_shift is None else str(self.total_shift)
        sizes = f"{self.kernel_height}x{self.kernel_width}s{self.stride}_w{self.output_width}c{self.channels}"
        return f"{sizes}r{self.row_bytes}_{shift}{'t' * self.rounds_ties}{'c' * self.clamps}{'o' * self.one_row}"

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of two weights of each kernel row, in the order in which they are packed."""
        return tuple(map(Word, range(max(self.kernel_width - 1, 1))))

    @property
    def resident(self) -> bool:
        """Whether all weights of a channel stay in registers."""
        return len(self.words) * self.kernel_height <= len(RESIDENT)


def _products(form: DepthwiseForm, output: int) -> list[tuple[int, Word, str]]:
    """(word of data, word of weights, instruction) for each product of a kernel row under one output of a block."""
    taps, start = form.kernel_width, output * form.stride
    found: list[tuple[int, Word, str]] = []
    tap = 0
    if start % 2:  # the upper half of the first word of data
        found.append((start // 2, Word(0), "smlatb"))
        tap = 1
    while tap + 1 < taps:
        found.append(((start + tap) // 2, Word(tap), "smlad"))
        tap += 2
    if tap < taps:  # the lower half of the last word of data, the upper half of a word of weights that is there anyway
        word, half = (Word(0), "smlabb") if taps == 1 else (Word(tap - 1), "smlabt")
        found.append(((start + tap) // 2, word, half))
    return found


def depthwise_listing(form: DepthwiseForm) -> Listing:
    """The function of a form, to be called with a thimble_planes_job."""
    a = Listing(f"thimble_depthwise_dsp_{form.name}")
    frame = Frame(_NAMES, (*_FAST, *(name for name in _NAMES if name not in _FAST)), form.has_fpu)
    blocks, rest = divmod(form.output_width, 4)
    a.op("push", registers(["r4-r11", "lr"]))
    a.op("ldm", "r0", "{r1-r8}", note="the job's fields")
    a.op("sub", "sp", "sp", f"#{frame.bytes}")
    for register, name in zip(("r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8"), _JOB, strict=True):
        frame.store(a, register, name)
    a.op("movs", "r0", "#0")
    frame.store(a, "r0", "channel")
    a.label("channel")
    _load_channel(a, frame, form)
    a.label("row")
    _start_row(a, frame, form, blocks)
    if blocks:
        a.op(".balign", 4)
        a.label("block", "four outputs")
        _block(a, frame, form, 4)
        a.op("add", "r3", "r3", f"#{4 * form.channels}")
        frame.load(a, "r2", "row_end")
        frame.store(a, "r3", "output")
        a.op("add", "r0", "r0", f"#{8 * form.stride}")
        a.op("cmp", "r3", "r2")
        a.branch("bne", "block")
    if rest:
        _block(a, frame, form, rest)
    _next(a, frame, form)
    return a


def _load_channel(a: Listing, frame: Frame, form: DepthwiseForm) -> None:
    """Weights and constants of the channel; the first row of its plane and of the outputs."""
    count = len(form.words) * form.kernel_height
    frame.load(a, "r1", "packed")
    if form.resident:
        a.op("ldm", "r1!", registers(RESIDENT[:count]), note="weights")
    else:
        frame.store(a, "r1", "weights")
        a.op("add", "r1", "r1", f"#{4 * count}")
        frame.store(a, "r1", "weights_end")
    constants = ["r10", "r11", "r12"] + (["lr"] if form.total_shift is None else [])
    a.op("ldm", "r1!", registers(constants), note="bias, multiplier, addend" + ", shift" * (len(constants) - 3))
    frame.store(a, "r1", "packed")
    for register, name in zip(constants, ("bias", "multiplier", "addend", "shift"), strict=False):
        frame.store(a, register, name)
    frame.load(a, "r3", "outputs")
    frame.load(a, "r0", "planes")


def _start_row(a: Listing, frame: Frame, form: DepthwiseForm, blocks: int) -> None:
    """r0 is the row of the plane, r3 the place of the next row's pointer."""
    frame.load(a, "r1", "channel")
    a.op("ldr", "r2", "[r3], #4", note="the output row")
    frame.store(a, "r3", "next_row")
    frame.store(a, "r0", "x")
    a.op("add", "r3", "r1", "r2")
    frame.store(a, "r3", "output")
    if blocks:
        _add(a, "r2", "r3", 4 * blocks * form.channels)
        frame.store(a, "r2", "row_end")


def _add(a: Listing, to: str, register: str, amount: int) -> None:
    if abs(amount) > MAX_OFFSET:
        assert to != register
        a.op("movw", to, f"#{amount}")
        a.op("add", to, to, register)
    else:
        a.op("sub" if amount < 0 else "add", to, register, f"#{abs(amount)}")


def _block(a: Listing, frame: Frame, form: DepthwiseForm, count: int) -> None:
    """`count` outputs from the words of data at r0."""
    if form.resident:
        _unrolled_rows(a, frame, form, count)
    else:
        _looped_rows(a, frame, form, count)
    _requantize(a, frame, form, count)


def _unrolled_rows(a: Listing, frame: Frame, form: DepthwiseForm, count: int) -> None:
    """All rows of the kernel one behind the other; the first product of each sum adds to the bias."""
    frame.load(a, SUMS[count - 1], "bias")
    started: set[int] = set()
    for ky in range(form.kernel_height):
        weights = dict(zip(form.words, RESIDENT[ky * len(form.words) :], strict=False))
        for output, word, op, register in _loads(a, form, count, ky * form.row_bytes, DATA):
            start = SUMS[output] if output in started or output == count - 1 else SUMS[count - 1]
            started.add(output)
            a.op(op, SUMS[output], register, weights[word], start)


def _looped_rows(a: Listing, frame: Frame, form: DepthwiseForm, count: int) -> None:
    """One row of the kernel a turn, so that large kernels stay in small instruction caches; r3 is at the weights."""
    frame.load(a, SUMS[count - 1], "bias")
    frame.load(a, "r3", "weights")
    for total in SUMS[: count - 1]:
        a.op("mov", total, SUMS[count - 1])
    a.label(f"kernel_row_{count}")
    a.op("ldm", "r3!", registers(RESIDENT[: len(form.words)]), note="weights of the kernel row")
    weights = dict(zip(form.words, RESIDENT, strict=False))
    for output, word, op, register in _loads(a, form, count, 0, DATA[:2]):
        a.op(op, SUMS[output], register, weights[word], SUMS[output])
    frame.load(a, "r1", "weights_end")
    a.op("add", "r0", "r0", f"#{form.row_bytes}")
    a.op("cmp", "r3", "r1")
    a.branch("bne", f"kernel_row_{count}")
    _add(a, "r0", "r0", -form.kernel_height * form.row_bytes)


def _loads(
    a: Listing, form: DepthwiseForm, count: int, offset: int, data: tuple[str, ...]
) -> Iterator[tuple[int, Word, str, str]]:
    """The products of a kernel row as (output, word of weights, instruction, register), their data loaded before."""
    by_data: dict[int, list[tuple[int, Word, str]]] = {}
    for output in range(count):
        for word_of_data, word, op in _products(form, output):
            by_data.setdefault(word_of_data, []).append((output, word, op))
    order = sorted(by_data)
    for at in range(0, len(order), len(data)):
        group = order[at : at + len(data)]
        for register, word_of_data in zip(data, group, strict=False):
            a.op("ldr", register, f"[r0, #{offset + 4 * word_of_data}]")
        for register, word_of_data in zip(data, group, strict=False):
            for output, word, op in by_data[word_of_data]:
                yield output, word, op, register


def _requantize(a: Listing, frame: Frame, form: DepthwiseForm, count: int) -> None:
    frame.load(a, "r1", "multiplier")
    frame.load(a, "r2", "addend")
    saturate = "usat" if form.clamps else "ssat"
    for total in SUMS[:count]:
        if form.rounds_ties:
            a.op("asr", "r3", total, "#31")
        a.op("smmla", total, total, "r1", "r2")
        if form.rounds_ties:
            a.op("add", total, total, "r3", f"lsl #{form.scale_bits - 1}", note="halves away from zero")
        if form.total_shift is not None:
            a.op(saturate, total, "#8", total, f"asr #{form.total_shift}")
    if form.total_shift is None:
        frame.load(a, "r1", "shift")
        for total in SUMS[:count]:
            a.op("asr", total, total, "r1")
            a.op(saturate, total, "#8", total)
    if form.clamps:
        frame.load(a, "r1", "ceiling")
        frame.load(a, "r2", "offset")
        for total in SUMS[:count]:
            a.op("uqadd8", total, total, "r1", note="saturates at the upper limit")
            a.op("uadd8", total, total, "r2")
    frame.load(a, "r3", "output")
    for i, total in enumerate(SUMS[:count]):
        a.op("strb", total, f"[r3, #{i * form.channels}]")


def _next(a: Listing, frame: Frame, form: DepthwiseForm) -> None:
    """The next row of the channel, then the next channel."""
    frame.load(a, "r3", "next_row")
    frame.load(a, "r2", "outputs_end")
    frame.load(a, "r0", "x")
    a.op("cmp", "r3", "r2")
    a.op("add", "r0", "r0", f"#{form.stride * form.row_bytes}")
    a.branch("bne", "row")
    frame.load(a, "r0", "planes")
    frame.load(a, "r1", "plane_bytes")
    frame.load(a, "r2", "channel")
    frame.load(a, "r3", "channels")
    a.op("add", "r0", "r0", "r1")
    a.op("adds", "r2", "#1")
    frame.store(a, "r0", "planes")
    frame.store(a, "r2", "channel")
    a.op("cmp", "r2", "r3")
    a.branch("bne", "channel")
    a.op("add", "sp", "sp", f"#{frame.bytes}")
    a.op("pop", registers(["r4-r11", "pc"]))
