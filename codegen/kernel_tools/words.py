"""Integers as the words of packed tables."""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.operator import Array


def int32_words(values: Array) -> Array:
    """Values modulo 2**32 as int32."""
    return np.asarray(unsigned(values, 32).astype(np.uint32).view(np.int32))


def words_of_byte(value: int, count: int) -> Array:
    """int32 (count,): the low byte of a value four times in each."""
    return int32_words(np.full(count, (value & 0xFF) * 0x01010101))


def unsigned(values: Array, bits: int) -> Array:
    """Values modulo 2**bits, not negative."""
    return np.asarray(values & ((1 << bits) - 1))
