"""Weights and constants as the tables of words that the kernels of this family read, and arguments of their calls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.armv7em.shared_shift import SharedShift
from thimble.codegen.armv7em.sums import Arithmetic
from thimble.codegen.kernel_tools.arguments import row_arguments
from thimble.codegen.kernel_tools.requantize import Requantization
from thimble.codegen.kernel_tools.words import int32_words, unsigned
from thimble.compiler.ir.operator import Argument, Array, Scratch, Table

BIASES = 2
"""Words of a pair's table before its weights."""


@dataclass(frozen=True, slots=True)
class PairsLayout:
    """What pair_words made of a layer's `channels`.

    `weight_words` are those of a pair; `words_text` says them in C by the kernel's parameters, which stand at {sizes}.
    Kernels whose matrix product may be another one name its C function, and the `driver` in the runtime that calls it.
    """

    arithmetic: Arithmetic
    channels: int
    weight_words: int
    words_text: str
    product: str = ""
    driver: str = ""

    @property
    def constant_words(self) -> int:
        """Words of a pair's table behind its weights."""
        return 2 if self.arithmetic.shift else 6

    @property
    def pairs(self) -> int:
        """Of channels; the last one alone makes one too."""
        return -(-self.channels // 2)

    @property
    def pair_words(self) -> int:
        """All words of a pair's table."""
        return BIASES + self.weight_words + self.constant_words


@dataclass(frozen=True, slots=True, eq=False)
class PairsTable(Table):
    """A table of pair_words, maybe with more words behind it."""

    layout: PairsLayout


def call_arguments(words: Array, scratch_bytes: int, pairs: PairsLayout | None = None) -> tuple[Argument, ...]:
    """Those of a kernel for output rows [first, end) with packed weights, which may be those of pair_words."""
    table = Table("packed", words) if pairs is None else PairsTable("packed", words, pairs)
    return row_arguments(table, Scratch(scratch_bytes, "uint32_t"))


def channel_pairs(channels: int) -> Array:
    """(ceil(channels / 2), 2): the last pair of an odd number holds the last channel but one again."""
    return np.minimum(np.arange(0, channels, 2)[:, None] + [0, 1], [channels - 2, channels - 1])


def pair_words(
    weights: Array, start: Array, constants: Requantization | SharedShift, folded: bool, doubles_last: bool = False
) -> Array:
    """(ceil(channels / 2), n + depth / 2) int32: bias (2), words of four weights (depth / 4, 2), constants (2, 3).

    With a shared shift the constants are the multipliers alone. Where it `doubles_last`, the last pair of an odd number
    of channels is the last one twice.
    """
    order = channel_pairs(len(weights))
    if doubles_last and len(weights) % 2:
        order[-1] = len(weights) - 1
    start, words = weight_words(weights, start, folded)
    if isinstance(constants, SharedShift):
        start = start + constants.starts
        tail = constants.multipliers[:, None]
    else:
        tail = np.stack([constants.multipliers, constants.addends, constants.shifts], axis=1)
    parts = (start[order], words[order].transpose(0, 2, 1), tail[order])
    return int32_words(np.concatenate([part.reshape(len(order), -1) for part in parts], axis=1))


def weight_words(weights: Array, start: Array, folded: bool) -> tuple[Array, Array]:
    """What sums begin with, and the words (channels, depth / 4) of weights (channels, depth), a multiple of 4 deep.

    A word's bytes are w0, w1, w2, w3 as they are, or the lanes 256 * w1 + w0 and 256 * w3 + w2 where `folded`.
    """
    if folded:
        folds = 256 * weights[:, 1::2] + weights[:, ::2]
        return 256 * start - 127 * weights[:, ::2].sum(axis=1), lanes(folds[:, ::2], folds[:, 1::2])
    quarters = [unsigned(weights[:, i::4], 8) << 8 * i for i in range(4)]
    return start, quarters[0] | quarters[1] | quarters[2] | quarters[3]


def lanes(low: Array, high: Array) -> Array:
    """Words of two lanes of 16 bits, not negative."""
    return np.asarray(unsigned(low, 16) | unsigned(high, 16) << 16)
