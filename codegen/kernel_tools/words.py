"""Integers as the words of packed tables."""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.operator import Array


def int32_words(values: Array) -> Array:
    """Values modulo 2**32 as int32."""
    return np.asarray(unsigned(values, 32).astype(np.uint32).view(np.int32))


def unsigned(values: Array, bits: int) -> Array:
    """Values modulo 2**bits, not negative."""
    return np.asarray(values & ((1 << bits) - 1))
