"""The sums of a block of a depthwise convolution along planes: its products, row by row of the kernel.

A block is some outputs of a row, or of two, one sum each. r0 is at the row of the plane that the first output's window
begins in, and is there again behind the products.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from thimble.codegen.armv7em.assembly import MAX_MOVE, Frame, Listing, add_signed, registers
from thimble.codegen.armv7em.depthwise_fill import WORD_BYTES
from thimble.codegen.armv7em.depthwise_form import MAX_SHORT_OFFSET, RESIDENT, Block, DepthwiseForm, Word, products


def resident_rows(a: Listing, frame: Frame, form: DepthwiseForm, block: Block) -> None:
    """All rows of data one behind the other; the first product of each sum adds to the bias.

    Of two rows of outputs, the sums of the upper one come first.
    """
    sums = form.sums(block.count)
    bias = sums[-1]
    frame.load(a, bias, "bias")
    started: set[int] = set()
    offsets = [y * form.row_bytes for y in range(form.data_rows)]
    for y, output, word, op, register in _loads(a, form, block, offsets):
        for row in range(form.rows):
            ky, total = y - row * form.stride_height, row * block.count + output
            if 0 <= ky < form.kernel_height:
                weights = RESIDENT[ky * len(form.words) + form.words.index(word)]
                a.op(op, sums[total], register, weights, sums[total] if total in started else bias)
                started.add(total)


def streamed_rows(a: Listing, frame: Frame, form: DepthwiseForm, block: Block) -> None:
    """All rows of a larger kernel one behind the other, the weights of each loaded before it."""
    sums = _start_sums(a, frame, form, block)
    for ky in range(form.kernel_height):
        if "r3" in sums:
            frame.load(a, "r1", "row_weights")
        _kernel_row(a, frame, form, block, sums, ky * form.row_bytes)


def looped_rows(a: Listing, frame: Frame, form: DepthwiseForm, block: Block, label: str) -> None:
    """One row of the kernel a turn, so that large kernels stay in small instruction caches.

    Where its range allows, the load of the first word of a row moves r0 on to the next one.
    """
    move = form.row_bytes if form.row_bytes <= MAX_MOVE else 0
    begin = WORD_BYTES * (block.first * form.stride_width // 2) if move else 0
    sums = _start_sums(a, frame, form, block)
    add_signed(a, "r0", "r0", begin, free="r1")
    if "r3" in sums:
        add_signed(a, "r1", "r0", form.kernel_height * form.row_bytes, free="r1")
        frame.store(a, "r1", "data_end")
        frame.load(a, "r1", "row_weights")
    a.op(".balign", 4)
    a.label(label)
    _kernel_row(a, frame, form, block, sums, -begin, move)
    frame.load(a, "r1", "data_end" if "r3" in sums else "weights_end")
    if not move:
        a.op("add", "r0", "r0", f"#{form.row_bytes}")
    a.op("cmp", "r0" if "r3" in sums else "r3", "r1")
    if "r3" in sums:
        frame.load(a, "r1", "row_weights", note="here, since an address is late right behind its making")
    a.branch("bne", label)
    add_signed(a, "r0", "r0", -form.kernel_height * form.row_bytes - begin, free="r1")


def _start_sums(a: Listing, frame: Frame, form: DepthwiseForm, block: Block) -> tuple[str, ...]:
    """All sums begin with the bias; r3 is at the weights, or else `row_weights` says where they are."""
    sums = form.sums(block.count)
    frame.load(a, "r3", "weights")
    if "r3" in sums:
        frame.store(a, "r3", "row_weights")
    frame.load(a, sums[-1], "bias")
    for i, total in enumerate(sums[:-1]):
        a.op("mov.w" if i == 0 and block.count % 2 == 0 else "mov", total, sums[-1])
    return sums


def _kernel_row(
    a: Listing, frame: Frame, form: DepthwiseForm, block: Block, sums: tuple[str, ...], offset: int, move: int = 0
) -> None:
    """The products of a kernel row; what is at its weights moves on to the next row's, and r0 by `move`.

    Where the sums take r3, r1 is at the weights.
    """
    at = "r1" if "r3" in sums else "r3"
    a.op("ldm.w", f"{at}!", registers(RESIDENT[: len(form.words)]), note="weights of the kernel row")
    if at == "r1":
        frame.store(a, "r1", "row_weights")
    weights = dict(zip(form.words, RESIDENT, strict=False))
    for _, output, word, op, register in _loads(a, form, block, [offset], move):
        a.op(op, sums[output], register, weights[word], sums[output])


def _loads(
    a: Listing, form: DepthwiseForm, block: Block, offsets: Sequence[int], move: int = 0
) -> Iterator[tuple[int, int, Word, str, str]]:
    """The products of the rows of data at some offsets from r0, as many words loaded before as there are registers:
    (number of the row, output, word of weights, instruction, register).

    To `move` r0, the word at r0 itself is loaded last.
    """
    data = form.data(block.count)
    by_data: dict[int, list[tuple[int, Word, str]]] = {}
    for output in range(block.count):
        for word_of_data, word, op in products(form, (block.first + output) * form.stride_width):
            by_data.setdefault(word_of_data, []).append((output, word, op))
    order = sorted(by_data)
    order = order[1:] + order[:1] if move else order
    places = [(row, word_of_data) for row in range(len(offsets)) for word_of_data in order]
    for at in range(0, len(places), len(data)):
        group = places[at : at + len(data)]
        _load_words(a, [offsets[row] + WORD_BYTES * word_of_data for row, word_of_data in group], data, move)
        for register, (row, word_of_data) in zip(data, group, strict=False):
            for output, word, op in by_data[word_of_data]:
                yield row, output, word, op, register


def _load_words(a: Listing, offsets: Sequence[int], data: Sequence[str], move: int) -> None:
    """Words at offsets from r0 side by side; that at r0 itself moves it on by `move`."""
    short = [at for at in offsets if at <= MAX_SHORT_OFFSET and not (move and at == 0)]
    wide = short[-1:] if len(short) % 2 else []  # so that what follows stays aligned
    for register, at in zip(data, offsets, strict=False):
        if move and at == 0:
            a.op("ldr", register, "[r0]", f"#{move}")
        else:
            a.op("ldr.w" if at in wide else "ldr", register, f"[r0, #{at}]")
