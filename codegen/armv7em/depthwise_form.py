"""What a depthwise function along planes is generated for, and into which blocks its rows of outputs are cut."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

from thimble.codegen.armv7em.depthwise_fill import LANES, WORD_BYTES, FillShape

RESIDENT = ("r4", "r5", "r6", "r7", "r8", "r9")
SUMS = ("r10", "r11", "r12", "lr")
DATA = ("r1", "r2", "r3")
MAX_OFFSET = 4095
"""Largest immediate offset of a load or a store."""

MAX_SHORT_OFFSET = 124
"""Largest offset of a load of 16 bits."""

MAX_BLOCK = 5
MAX_UNROLLED_BLOCKS = 4
"""Blocks of outputs one behind the other in code; more of them are a loop."""

MAX_CODE_BYTES = 800
"""Code of a row of outputs that stays in an instruction cache of 1 KB with most of what comes once a channel."""

WORTH_PAIRING, WORTH_PAIRING_BESIDE_FILLING = 0.98, 0.9
"""What two rows at a time may take of the cycles of one after the other, by prediction: their code is larger, and the
function that fills planes competes for the same instruction cache."""

COLD_CYCLES_PER_BYTE = 0.015
"""About what a byte of code costs a row: it comes from flash once for each filling, that is for some 50 rows."""

COMPACT_BYTES_PER_CYCLE = 10
"""Code that compact forms give for a cycle a row."""

MAX_UNROLLED_BYTES = 640
"""Code for all rows of a large kernel under all blocks of a row of outputs; above it a loop over kernel rows stays in
small instruction caches."""

KERNEL_ROW_END_CYCLES = 5
"""The end of a turn of such a loop."""

ROW_END_CYCLES = 8
"""What comes behind the outputs of a row."""

CONSTANTS = ("bias", "multiplier", "addend", "shift")

WORD_TAPS = 3
"""Taps of kernel rows that stand in a word of their own where weights are bytes."""


@dataclass(frozen=True, slots=True)
class Word:
    """Two weights of a kernel row: taps `first` and first + 1; the second one is absent in a kernel of one tap."""

    first: int


@dataclass(frozen=True, slots=True)
class Block:
    """Outputs of a row, or of two rows, that are made at once: `count` of each row from output `first` on."""

    first: int
    count: int


@dataclass(frozen=True, slots=True)
class DepthwiseForm:
    """What one depthwise function is generated for: sizes in elements. A `compact` one serves any number of `channels`.

    `row_bytes` lie between the data of one kernel row and the next: a row of the planes. Of images of one row
    (`one_row`) it may be less, where a long kernel row is cut into shorter ones. Weights of fewer than 8 `weight_bits`
    have compact forms alone.
    `total_shift` is the last shift of all channels, None where each has its own; then all sums are scaled by
    2**scale_bits, and `rounds_ties` is possible. With `no_addend` they are too, and sums begin with all that is to be
    added (shared_shift.py). `clamps`: the output limits lie inside those of int8. `joined`: the rows of the output lie
    one behind the other; then they may be `paired`, made two at a time, wherever each call makes an even number.
    `fill`: what rows of the planes are made of, where that is compiled in. Of whole images rows
    may be columns (`is_turned`), whose pixels lie `across` pixels apart. Planes may be
    `filled` before, those of each four channels (planes_matmul.py).
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
    compact: bool
    joined: bool
    fill: FillShape | None
    weight_bits: int = 8
    no_addend: bool = False
    across: int = 1
    filled: bool = False
    paired: bool = False

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        shift = f"v{self.scale_bits}" if self.total_shift is None else str(self.total_shift)
        sizes = f"{self.kernel_height}x{self.kernel_width}s{self.stride_height}x{self.stride_width}"
        channels = "" if self.compact and self.channels >= LANES else f"c{self.channels}"
        channels += f"x{self.across}" if self.is_turned else ""
        sizes += f"_w{self.output_width}{channels}r{self.row_bytes}"
        flags = f"{'h' * self.no_addend}{'t' * self.rounds_ties}{'c' * self.clamps}"
        flags += f"{'o' * self.one_row}{'j' * self.joined}{'d' * self.paired}{'p' * self.filled}"
        flags += f"_{self.fill.name}" if self.fill else ""
        narrow = f"_w{self.weight_bits}" if self.is_narrow else ""
        return f"{sizes}_{shift}{flags}{narrow}"

    @property
    def is_turned(self) -> bool:
        """Whether rows are the image's columns."""
        return self.across > 1

    @property
    def step_bytes(self) -> int:
        """From one output of a row to the next."""
        return self.channels * self.across

    @property
    def next_row_bytes(self) -> int:
        """From the first output of a row to that of the next, where rows are `joined`."""
        return self.channels * (1 if self.is_turned else self.output_width)

    @property
    def rows(self) -> int:
        """Rows of outputs that are made at once."""
        return 2 if self.paired else 1

    @property
    def data_rows(self) -> int:
        """Rows of the planes under them."""
        return self.kernel_height + (self.rows - 1) * self.stride_height

    @property
    def reach(self) -> int:
        """Outputs of a row that immediate offsets of stores reach, those below them too; 0 where there are none."""
        return max(MAX_OFFSET - (self.rows - 1) * self.next_row_bytes, 0) // self.step_bytes

    @property
    def is_narrow(self) -> bool:
        """Whether several weights share a byte."""
        return self.weight_bits < 8

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of two weights of each kernel row, in the order in which they are packed."""
        return tuple(map(Word, range(max(self.kernel_width - 1, 1))))

    @property
    def resident(self) -> bool:
        """Whether all weights of a channel stay in registers."""
        return len(self.words) * self.kernel_height <= len(RESIDENT)

    @property
    def in_words(self) -> bool:
        """Whether kernel rows of packed weights become words of two in registers; bytes are a word each."""
        return self.resident and self.kernel_width == WORD_TAPS

    @property
    def tap_row_bytes(self) -> int:
        """Bytes of a kernel row where weights are packed as bytes or closer; 0 where they are words of two."""
        if self.is_narrow:
            return -(-self.kernel_width * self.weight_bits // 8)
        return 0 if not self.compact else 4 if self.in_words else self.kernel_width

    @property
    def special_at(self) -> int:
        """Where among the bytes the one stands that is no weight: the scale bits, or a last shift of the channel."""
        if self.is_narrow:
            return self.kernel_height * self.tap_row_bytes
        return WORD_TAPS if self.in_words else self.kernel_height * self.kernel_width

    @property
    def constants_at(self) -> int:
        """The word of a channel at which its constants begin."""
        if not self.compact:
            return len(self.words) * self.kernel_height
        return self.kernel_height if self.in_words and not self.is_narrow else self.special_at // 4 + 1

    @property
    def unpacked_bytes(self) -> int:
        """Scratch for the words of a channel's weights, where they are made from bytes one by one."""
        return 4 * len(self.words) * self.kernel_height if self.compact and not self.in_words else 0

    @property
    def constants(self) -> tuple[str, ...]:
        """What follows a channel's weights; compact forms make addend and shift from bias, multiplier and a byte."""
        return (
            CONSTANTS[:2] if self.compact or self.no_addend else CONSTANTS[: 3 if self.total_shift is not None else 4]
        )

    def sums(self, count: int) -> tuple[str, ...]:
        """The registers of the sums of a block, `count` of a row: r3, which may be at the weights, as the last one."""
        used = len(self.words) * (self.kernel_height if self.resident else 1)
        return (*SUMS, *RESIDENT[used:], "r3")[: count * self.rows]

    def data(self, count: int) -> tuple[str, ...]:
        """The registers for data of a block."""
        sums, used = self.sums(count), len(self.words) * (self.kernel_height if self.resident else 1)
        others = (*(("r3",) if self.resident else ()), *RESIDENT[used:])
        return (*DATA[:2], *(register for register in others if register not in sums))

    @property
    def most(self) -> int:
        """The most outputs a row of a block: r3 is needed to round halves."""
        if self.paired:
            return len(SUMS) // self.rows
        return len(SUMS) if self.rounds_ties else len(self.sums(MAX_BLOCK))


def products(form: DepthwiseForm, start: int) -> list[tuple[int, Word, str]]:
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


@lru_cache(maxsize=1024)
def row_code(form: DepthwiseForm) -> RowCode:
    """The blocks with the fewest cycles: a few different ones, or a loop of blocks of four with others behind it."""
    width = form.output_width
    fits = width if form.compact else min(form.reach, width)
    options = [RowCode(0, (), _blocks(0, counts)) for counts in _partitions(width, form.most) if fits >= width]
    options = [code for code in options if not form.resident or _code_bytes(form, code.rest) <= MAX_CODE_BYTES]
    sizes = {len(SUMS) // form.rows, *((form.most,) if form.most * form.stride_width % 2 == 0 else ())}
    for size, last in product(sorted(sizes), range(min(form.most, width) + 1)):
        turns, rest = divmod(width - last, size)
        if rest or not turns:
            continue
        behind = _blocks(width - last, (last,) if last else ())
        unroll = next(n for n in (3, 2, 1) if turns % n == 0 and (n == 1 or _unrolls(form, n, size, behind, fits)))
        options.append(RowCode(turns // unroll, _blocks(0, (size,) * unroll), behind))
    return min(options, key=lambda code: _row_cycles(form, code) + _code_price(form, code))


def _unrolls(form: DepthwiseForm, count: int, size: int, behind: tuple[Block, ...], fits: int) -> bool:
    """Whether a turn may be of `count` blocks of one `size`, with the blocks `behind` all turns."""
    code_bytes = _code_bytes(form, (*_blocks(0, (size,) * count), *behind))
    return form.resident and not form.compact and count * size <= fits and code_bytes <= MAX_CODE_BYTES


def _code_bytes(form: DepthwiseForm, blocks: tuple[Block, ...]) -> int:
    """About the code of some blocks whose weights stay in registers: words of data, products, and their ends."""
    return 4 * sum(sum(_loads_and_products(form, block)) + 3 * form.rows * block.count + 4 for block in blocks)


def _loads_and_products(form: DepthwiseForm, block: Block) -> tuple[int, int]:
    """The words of data that a block loads, and the instructions that multiply them."""
    made = [p for i in range(block.count) for p in products(form, (block.first + i) * form.stride_width)]
    words = len({word for word, _, _ in made})
    return form.data_rows * words, form.rows * form.kernel_height * len(made)


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


def row_cycles(form: DepthwiseForm) -> float:
    """About the cycles of a row of outputs and of going on to the next one."""
    return (_row_cycles(form, row_code(form)) + ROW_END_CYCLES) / form.rows


def paired_if_faster(form: DepthwiseForm, output_rows: int) -> DepthwiseForm:
    """A form that makes two rows at a time, where all its calls make `output_rows` or another even number of them."""
    paired = replace(form, paired=True)
    may = form.joined and form.resident and not form.compact and form.stride_height <= form.kernel_height
    if not may or output_rows % 2 or paired.reach < paired.most or largest_offset(paired) > MAX_OFFSET:
        return form
    share = WORTH_PAIRING if form.filled else WORTH_PAIRING_BESIDE_FILLING
    return paired if row_cycles(paired) <= share * row_cycles(form) else form


def unrolls_rows(form: DepthwiseForm, code: RowCode) -> bool:
    """Whether all rows of a kernel are code one behind the other, under each block of a row of outputs."""
    blocks = (*code.looped, *code.rest)
    return form.resident or 4 * sum(block_cycles(form, block) for block in blocks) <= MAX_UNROLLED_BYTES


def _row_cycles(form: DepthwiseForm, code: RowCode) -> float:
    """About the cycles of a row of outputs."""
    looped = sum(block_cycles(form, block) for block in code.looped) + 9
    cold = 0.0 if form.compact else COLD_CYCLES_PER_BYTE * _code_bytes(form, (*code.looped, *code.rest))
    blocks = code.turns * len(code.looped) + len(code.rest)
    loops = 0 if form.resident or not unrolls_rows(form, code) else blocks * form.kernel_height * KERNEL_ROW_END_CYCLES
    return code.turns * looped + sum(block_cycles(form, block) for block in code.rest) + cold - loops


def _code_price(form: DepthwiseForm, code: RowCode) -> float:
    """The cycles that the code of a row is worth: nothing where flash does not count. An instruction takes 4 bytes."""
    blocks = (*code.looped, *code.rest)
    return 4 * sum(block_cycles(form, block) for block in blocks) / COMPACT_BYTES_PER_CYCLE if form.compact else 0.0


def block_cycles(form: DepthwiseForm, block: Block) -> int:
    """About the cycles of a block: loads by groups, products, and 3 cycles for each output."""
    loads, made = _loads_and_products(form, block)
    group = len(form.data(block.count))
    ends = 3 * form.rows * block.count
    if form.resident:
        return made + loads + -(-loads // group) + ends + 4
    weights = len(form.words) + (8 if "r3" in form.sums(block.count) else 6)
    groups = form.kernel_height * -(-loads // form.kernel_height // group)
    return made + loads + groups + form.kernel_height * weights + ends + 8


def largest_offset(form: DepthwiseForm) -> int:
    """The largest offset of a load from the planes, in bytes."""
    code = row_code(form)
    turned = code.turns * code.looped_outputs
    ends = [block.first + block.count for block in code.looped]
    ends += [block.first + block.count - turned for block in code.rest]
    elements = (max(ends) - 1) * form.stride_width + form.kernel_width
    return (form.data_rows - 1) * form.row_bytes + WORD_BYTES * (elements // 2)
