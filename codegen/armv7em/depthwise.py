"""Depthwise convolution along planes: four channels at a time, one after the other, some outputs of a row at once.

The rows that some output rows need are laid out first as planes of int16, borders included, so that one SMLAD makes two
products; the words of four channels lie side by side (depthwise_fill.py). Element 0 of a plane's row lies under the
first tap of the row's first output. Word i of the weights of a kernel row holds taps i and i + 1: windows that begin at
an even element take words 0, 2, ..., those that begin at an odd one 1, 3, ..., and a tap that is left over at either
end takes one half of a word: SMLABB, SMLABT, SMLATB. Weights are multiplied by a power of 2 of their channel, so that
all channels need the same last shift, which SSAT has for free.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import Frame, Listing, registers
from thimble.codegen.armv7em.depthwise_fill import FILL_FUNCTION, JOB, LANES, NAMES, WORD_BYTES

RESIDENT = ("r4", "r5", "r6", "r7", "r8", "r9")
SUMS = ("r10", "r11", "r12", "lr")
DATA = ("r1", "r2", "r3")
MAX_OFFSET = 4095
"""Largest immediate offset of a load or a store."""

MAX_BLOCK = 5
MAX_UNROLLED_BLOCKS = 3
"""Blocks of outputs one behind the other in code; more of them are a loop."""

MAX_UNROLLED_BYTES = 640
"""Code for all rows of a large kernel under all blocks of a row of outputs; above it a loop over kernel rows stays in
small instruction caches."""

CONSTANTS = ("bias", "multiplier", "addend", "shift")


@dataclass(frozen=True, slots=True)
class Word:
    """Two weights of a kernel row: taps `first` and first + 1; the second one is absent in a kernel of one tap."""

    first: int


@dataclass(frozen=True, slots=True)
class Block:
    """Outputs of a row that are made at once: `count` of them from output `first` on."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class DepthwiseForm:
    """What one depthwise function is generated for: sizes in elements.

    `row_bytes` lie between the data of one kernel row and the next: a row of the planes. Of images of one row
    (`one_row`) it may be less, where a long kernel row is cut into shorter ones.
    `total_shift` is the last shift of all channels, None where each has its own; then all sums are scaled by
    2**scale_bits, and `rounds_ties` is possible. `clamps`: the output limits lie inside those of int8.
    """

    kernel_height: int
    kernel_width: int
    stride_height: int
    stride_width: int
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
        sizes = f"{self.kernel_height}x{self.kernel_width}s{self.stride_height}x{self.stride_width}"
        sizes += f"_w{self.output_width}c{self.channels}r{self.row_bytes}"
        return f"{sizes}_{shift}{'t' * self.rounds_ties}{'c' * self.clamps}{'o' * self.one_row}"

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of two weights of each kernel row, in the order in which they are packed."""
        return tuple(map(Word, range(max(self.kernel_width - 1, 1))))

    @property
    def resident(self) -> bool:
        """Whether all weights of a channel stay in registers."""
        return len(self.words) * self.kernel_height <= len(RESIDENT)

    @property
    def constants(self) -> tuple[str, ...]:
        """What follows a channel's weights."""
        return CONSTANTS[: 3 if self.total_shift is not None else 4]

    def sums(self, count: int) -> tuple[str, ...]:
        """The registers of the sums of a block."""
        used = len(self.words) * (self.kernel_height if self.resident else 1)
        spare = [*RESIDENT[used:], *(("r3",) if self.resident else ())]
        return (*SUMS, *spare)[:count]

    def data(self, count: int) -> tuple[str, ...]:
        """The registers for data of a block."""
        return DATA if self.resident and "r3" not in self.sums(count) else DATA[:2]

    @property
    def most(self) -> int:
        """The most outputs of a block: r3 is needed to round halves."""
        return len(SUMS) if self.rounds_ties else len(self.sums(MAX_BLOCK))


def _products(form: DepthwiseForm, start: int) -> list[tuple[int, Word, str]]:
    """(word of data, word of weights, instruction) for each product of a kernel row under a window at `start`."""
    taps = form.kernel_width
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


@dataclass(frozen=True, slots=True)
class RowCode:
    """How a row of outputs is made: `turns` times the blocks `looped`, which begin at output 0; then the blocks `rest`.

    Without `looped` all blocks are `rest`.
    """

    turns: int
    looped: tuple[Block, ...]
    rest: tuple[Block, ...]

    @property
    def looped_outputs(self) -> int:
        """Outputs of one turn."""
        return sum(block.count for block in self.looped)


def row_code(form: DepthwiseForm) -> RowCode:
    """The blocks with the fewest cycles: a few different ones, or a loop of blocks of four with others behind it."""
    width = form.output_width
    fits = min(MAX_OFFSET // form.channels, width)
    options = [RowCode(0, (), _blocks(0, counts)) for counts in _partitions(width, form.most) if fits >= width]
    for last in range(min(form.most, width) + 1):
        turns, rest = divmod(width - last, len(SUMS))
        if rest or not turns:
            continue
        unroll = next(n for n in (3, 2, 1) if turns % n == 0 and (n == 1 or (form.resident and 4 * n <= fits)))
        looped = _blocks(0, (len(SUMS),) * unroll)
        options.append(RowCode(turns // unroll, looped, _blocks(width - last, (last,) if last else ())))
    return min(options, key=lambda code: _row_cycles(form, code))


def _blocks(first: int, counts: tuple[int, ...]) -> tuple[Block, ...]:
    return tuple(Block(first + sum(counts[:i]), count) for i, count in enumerate(counts))


def _partitions(width: int, most: int) -> Iterator[tuple[int, ...]]:
    """Ways to make a narrow row of few blocks, the larger ones first."""
    for count in range(1, MAX_UNROLLED_BLOCKS + 1):
        if count <= width <= count * most:
            low, more = divmod(width, count)
            yield (low + 1,) * more + (low,) * (count - more)
            full = (width - 1) // most
            if full == count - 1 and full:
                yield (most,) * full + (width - full * most,)


def _row_cycles(form: DepthwiseForm, code: RowCode) -> int:
    """About the cycles of a row of outputs."""
    looped = sum(_block_cycles(form, block) for block in code.looped) + 6
    return code.turns * looped + sum(_block_cycles(form, block) for block in code.rest)


def _block_cycles(form: DepthwiseForm, block: Block) -> int:
    """About the cycles of a block: loads by groups, products, and 3 cycles for each output."""
    products = [p for i in range(block.count) for p in _products(form, (block.first + i) * form.stride_width)]
    words, group = len({word for word, _, _ in products}), len(form.data(block.count))
    row = len(products) + words + -(-words // group) + (0 if form.resident else len(form.words) + 7)
    return form.kernel_height * row + 3 * block.count + 8


def largest_offset(form: DepthwiseForm) -> int:
    """The largest offset of a load from the planes, in bytes."""
    code = row_code(form)
    turned = code.turns * code.looped_outputs
    ends = [block.first + block.count for block in code.looped]
    ends += [block.first + block.count - turned for block in code.rest]
    elements = (max(ends) - 1) * form.stride_width + form.kernel_width
    return (form.kernel_height - 1) * form.row_bytes + WORD_BYTES * (elements // 2)


def depthwise_listing(form: DepthwiseForm) -> Listing:
    """The function of a form, to be called with a thimble_planes_job."""
    return _Writer(form).listing()


class _Writer:
    """Writes the assembly of one form."""

    def __init__(self, form: DepthwiseForm) -> None:
        self._form, self._code = form, row_code(form)
        self._a, self._frame = Listing(f"thimble_depthwise_dsp_{form.name}"), Frame(NAMES, NAMES, form.has_fpu)
        self._loops = 0
        self._unrolls_rows = form.resident or self._code_bytes() <= MAX_UNROLLED_BYTES

    def listing(self) -> Listing:
        a = self._a
        a.op("push", registers(["r4-r11", "lr"]))
        a.op("sub", "sp", "sp", f"#{self._frame.bytes}")
        for at in range(0, len(JOB), 8):
            names = JOB[at : at + 8]
            a.op("ldm", "r0!", registers([f"r{i}" for i in range(1, len(names) + 1)]), note="the job's fields")
            for register, name in enumerate(names, start=1):
                self._frame.store(a, f"r{register}", name)
        a.op("movs", "r0", "#0")
        self._frame.store(a, "r0", "channel")
        self._start_quad()
        self._load_channel()
        a.label("row")
        self._row()
        self._next()
        return a

    def _code_bytes(self) -> int:
        """About the bytes of the rows of a kernel under all blocks."""
        blocks = (*self._code.looped, *self._code.rest)
        cycles = sum(_block_cycles(self._form, block) for block in blocks)
        return 4 * cycles

    def _start_quad(self) -> None:
        """Fill the planes of the next four channels; of the last ones behind whole fours, the last lanes count."""
        a, frame = self._a, self._frame
        a.label("quad", "four channels")
        frame.load(a, "r1", "channel")
        frame.load(a, "r2", "channels")
        frame.load(a, "r3", "planes")
        a.op("subs", "r2", "r2", "r1")
        a.op("rsbs", "r2", "r2", f"#{LANES}", note="lanes that were made before")
        a.op("it", "lt")
        a.op("movlt", "r2", "#0")
        a.op("subs", "r1", "r1", "r2")
        a.op("add", "r3", "r3", "r2", "lsl #2")
        frame.store(a, "r1", "from")
        frame.store(a, "r3", "x")
        a.op("bl", FILL_FUNCTION)

    def _load_channel(self) -> None:
        """Weights and constants of the channel; the first row of its plane and of the outputs."""
        a, frame, form = self._a, self._frame, self._form
        count = len(form.words) * form.kernel_height
        a.label("channel")
        frame.load(a, "r1", "packed")
        if form.resident:
            a.op("ldm", "r1!", registers(RESIDENT[:count]), note="weights")
        else:
            frame.store(a, "r1", "weights")
            a.op("add", "r1", "r1", f"#{4 * count}")
            frame.store(a, "r1", "weights_end")
        held = SUMS[: len(form.constants)]
        a.op("ldm", "r1!", registers(held), note=", ".join(form.constants))
        frame.store(a, "r1", "packed")
        for register, name in zip(held, form.constants, strict=True):
            frame.store(a, register, name)
        frame.load(a, "r3", "outputs")
        frame.load(a, "r0", "x")

    def _row(self) -> None:
        """A row of outputs: r0 is at the row of the plane, r3 at the place of the output row's address."""
        a, frame, code = self._a, self._frame, self._code
        frame.load(a, "r1", "channel")
        a.op("ldr", "r2", "[r3], #4", note="the output row")
        frame.store(a, "r3", "next_row")
        a.op("add", "r3", "r1", "r2")
        frame.store(a, "r3", "output")
        if code.turns > 1:
            self._add("r2", "r3", code.turns * code.looped_outputs * self._form.channels)
            frame.store(a, "r2", "row_end")
            a.op(".balign", 4)
            a.label("turn")
        if code.turns:
            self._blocks(code.looped, move=True)
        if code.turns > 1:
            frame.load(a, "r2", "row_end")
            a.op("cmp", "r3", "r2")
            a.branch("bne", "turn")
        first = code.turns * code.looped_outputs
        self._blocks(tuple(Block(b.first - first, b.count) for b in code.rest), move=False)

    def _blocks(self, blocks: tuple[Block, ...], move: bool) -> None:
        """Blocks from r0 on; with `move`, r0 and the output then point behind them."""
        for block in blocks:
            self._block(block)
        if move:
            done, form = sum(block.count for block in blocks), self._form
            self._add("r3", "r3", done * form.channels)
            self._frame.store(self._a, "r3", "output")
            self._add("r0", "r0", done * form.stride_width // 2 * WORD_BYTES)

    def _add(self, to: str, register: str, amount: int) -> None:
        if abs(amount) > MAX_OFFSET:
            self._a.op("movw", "r1", f"#{abs(amount)}")
            self._a.op("sub" if amount < 0 else "add", to, register, "r1")
        elif amount or to != register:
            self._a.op("sub" if amount < 0 else "add", to, register, f"#{abs(amount)}")

    def _block(self, block: Block) -> None:
        if self._form.resident:
            self._resident_rows(block)
        elif self._unrolls_rows:
            self._streamed_rows(block)
        else:
            self._looped_rows(block)
        self._requantize(block)

    def _resident_rows(self, block: Block) -> None:
        """All rows of the kernel one behind the other; the first product of each sum adds to the bias."""
        form, sums = self._form, self._form.sums(block.count)
        bias = sums[-1]
        self._frame.load(self._a, bias, "bias")
        started: set[int] = set()
        for ky in range(form.kernel_height):
            weights = dict(zip(form.words, RESIDENT[ky * len(form.words) :], strict=False))
            for output, word, op, register in self._loads(block, ky * form.row_bytes):
                start = sums[output] if output in started else bias
                started.add(output)
                self._a.op(op, sums[output], register, weights[word], start)

    def _start_sums(self, block: Block) -> tuple[str, ...]:
        a, sums = self._a, self._form.sums(block.count)
        self._frame.load(a, sums[-1], "bias")
        self._frame.load(a, "r3", "weights")
        for total in sums[:-1]:
            a.op("mov", total, sums[-1])
        return sums

    def _kernel_row(self, block: Block, sums: tuple[str, ...], offset: int) -> None:
        """The products of the kernel row whose weights r3 is at."""
        form = self._form
        self._a.op("ldm", "r3!", registers(RESIDENT[: len(form.words)]), note="weights of the kernel row")
        weights = dict(zip(form.words, RESIDENT, strict=False))
        for output, word, op, register in self._loads(block, offset):
            self._a.op(op, sums[output], register, weights[word], sums[output])

    def _streamed_rows(self, block: Block) -> None:
        """All rows of a larger kernel; r3 is at the weights."""
        sums = self._start_sums(block)
        for ky in range(self._form.kernel_height):
            self._kernel_row(block, sums, ky * self._form.row_bytes)

    def _looped_rows(self, block: Block) -> None:
        """One row of the kernel a turn, so that large kernels stay in small instruction caches."""
        a, form, label = self._a, self._form, f"kernel_row_{self._loops}"
        self._loops += 1
        sums = self._start_sums(block)
        a.label(label)
        self._kernel_row(block, sums, 0)
        self._frame.load(a, "r1", "weights_end")
        a.op("add", "r0", "r0", f"#{form.row_bytes}")
        a.op("cmp", "r3", "r1")
        a.branch("bne", label)
        self._add("r0", "r0", -form.kernel_height * form.row_bytes)

    def _loads(self, block: Block, offset: int) -> Iterator[tuple[int, Word, str, str]]:
        """The products of a kernel row, data loaded before: (output, word of weights, instruction, register)."""
        form, data = self._form, self._form.data(block.count)
        by_data: dict[int, list[tuple[int, Word, str]]] = {}
        for output in range(block.count):
            for word_of_data, word, op in _products(form, (block.first + output) * form.stride_width):
                by_data.setdefault(word_of_data, []).append((output, word, op))
        order = sorted(by_data)
        for at in range(0, len(order), len(data)):
            group = order[at : at + len(data)]
            for register, word_of_data in zip(data, group, strict=False):
                self._a.op("ldr", register, f"[r0, #{offset + WORD_BYTES * word_of_data}]")
            for register, word_of_data in zip(data, group, strict=False):
                for output, word, op in by_data[word_of_data]:
                    yield output, word, op, register

    def _requantize(self, block: Block) -> None:
        """The sums to bytes; r1 and r2 are free, and r3 where no sum is in it."""
        a, frame, form = self._a, self._frame, self._form
        sums, saturate = form.sums(block.count), "usat" if form.clamps else "ssat"
        frame.load(a, "r1", "multiplier")
        frame.load(a, "r2", "addend")
        for total in sums:
            if form.rounds_ties:
                a.op("asr", "r3", total, "#31")
            a.op("smmla", total, total, "r1", "r2")
            if form.rounds_ties:
                a.op("add", total, total, "r3", f"lsl #{form.scale_bits - 1}", note="halves away from zero")
            if form.total_shift is not None:
                a.op(saturate, total, "#8", total, f"asr #{form.total_shift}")
        if form.total_shift is None:
            frame.load(a, "r1", "shift")
            for total in sums:
                a.op("asr", total, total, "r1")
                a.op(saturate, total, "#8", total)
        if form.clamps:
            frame.load(a, "r1", "ceiling")
            frame.load(a, "r2", "offset")
            for total in sums:
                a.op("uqadd8", total, total, "r1", note="saturates at the upper limit")
                a.op("uadd8", total, total, "r2")
        output = "r1" if "r3" in sums else "r3"
        frame.load(a, output, "output")
        for i, total in enumerate(sums):
            a.op("strb", total, f"[{output}, #{(block.first + i) * form.channels}]")

    def _next(self) -> None:
        """The next row of the channel, then the next channel."""
        a, frame, form, code = self._a, self._frame, self._form, self._code
        moved = code.turns * code.looped_outputs * form.stride_width // 2 * WORD_BYTES
        frame.load(a, "r3", "next_row")
        frame.load(a, "r2", "outputs_end")
        self._add("r0", "r0", form.stride_height * form.row_bytes - moved)
        a.op("cmp", "r3", "r2")
        a.branch("bne", "row")
        frame.load(a, "r0", "x")
        frame.load(a, "r2", "channel")
        frame.load(a, "r1", "planes")
        a.op("adds", "r0", "#4")
        a.op("adds", "r2", "#1")
        a.op("adds", "r1", f"#{WORD_BYTES}")
        frame.store(a, "r0", "x")
        frame.store(a, "r2", "channel")
        a.op("cmp", "r0", "r1")
        a.branch("bne", "channel")
        frame.load(a, "r3", "channels")
        a.op("cmp", "r2", "r3")
        a.branch("bne", "quad")
        a.op("add", "sp", "sp", f"#{frame.bytes}")
        a.op("pop", registers(["r4-r11", "pc"]))
