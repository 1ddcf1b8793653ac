"""Weights of 4 or 2 bits under int8 activations: the matrix products for int8 weights, which get them pair by pair.

The weights of two channels are unpacked to scratch, and the int8 kernel's assembly runs on these two. Unpacking costs
about 5 cycles for four weights: once for up to 128 pixels in products of rows, where it takes the place of the copy
that they make anyway, and once for up to 16 columns else.
"""

from __future__ import annotations

import re
from dataclasses import replace
from functools import lru_cache

import numpy as np

from thimble.codegen.armv7em.convolution import specialise_conv_2d
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Argument, Array, GeneratedKernel, KernelCall, Scratch, Table
from thimble.compiler.ir.types import DType

_COLUMNS, _ROWS = re.compile(r"conv_2d_dsp_(\w+)"), re.compile(r"conv_2d_rows_dsp_(\w+)")
_BIASES = 2
"""Words of a pair's table before its weights."""


def specialise_narrow_conv_2d(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The int8 kernel's call with packed weights; None where int8 weights have none either."""
    dtype, direct = site.input(1).type.dtype, replace(core, winograd_bytes=0, compact=False)
    found = specialise_conv_2d(_with_int8_weights(site), call, direct, whole, limit_bytes)
    if found is None or not (_COLUMNS.fullmatch(found.kernel) or _ROWS.fullmatch(found.kernel)):
        return None
    sizes = sizes_of(found)
    kernel = f"{found.kernel}_w{dtype.bits}"
    return replace(
        found,
        kernel=kernel,
        arguments=tuple(_narrowed(argument, found.kernel, sizes, dtype) for argument in found.arguments),
        source=_source(found.source, found.kernel, kernel, dtype.bits, sizes["folded"]),
    )


def _with_int8_weights(site: Site) -> Site:
    """The node with the same weights, each in a byte of its own."""
    weights = site.input(1)
    wide = replace(weights, type=replace(weights.type, dtype=DType.INT8))
    return replace(site, inputs=(site.inputs[0], wide, *site.inputs[2:]))


def _narrowed(argument: Argument, kernel: str, sizes: dict[str, int], dtype: DType) -> Argument:
    """An argument of the int8 kernel: its table packed, its scratch with room for a pair of columns' weights."""
    if isinstance(argument, Table):
        return Table(argument.name, _packed(argument.data, kernel, sizes, dtype))
    if isinstance(argument, Scratch) and _COLUMNS.fullmatch(kernel):
        return replace(argument, bytes=argument.bytes + 4 * _pair_words(kernel, sizes))
    return argument


def _pair_words(kernel: str, sizes: dict[str, int]) -> int:
    """Words of a pair's table with int8 weights."""
    if _COLUMNS.fullmatch(kernel):
        return _BIASES + sizes["depth"] // 2 + _constants(sizes)
    return _BIASES + 2 * sizes["kernel_height"] * sizes["row_steps"] + _constants(sizes)


def _constants(sizes: dict[str, int]) -> int:
    """Words of a pair's table behind its weights."""
    return 2 if sizes["shift"] else 6


def _packed(table: Array, kernel: str, sizes: dict[str, int], dtype: DType) -> Array:
    """The table of packing.pair_words with its words of weights packed, int32, as thimble_unpack_dsp.h reads it."""
    pairs = -(-sizes["output_channels"] // 2)
    rows = table.reshape(-1)[: pairs * _pair_words(kernel, sizes)].reshape(pairs, -1)
    behind = rows.shape[1] - _constants(sizes)
    words = np.ascontiguousarray(rows[:, _BIASES:behind]).view(np.uint32)
    shared = _shared_words(_fields(words, sizes["folded"], dtype), dtype)
    return np.concatenate((rows[:, :_BIASES], shared, rows[:, behind:]), axis=1)


def _fields(words: Array, folded: int, dtype: DType) -> Array:
    """Words of four weights as words of four bytes w + 2**(bits - 1)."""
    flipped = np.uint32(0x80008000 if folded else 0x80808080)
    offset = np.uint32(0x01010101 << (dtype.bits - 1))
    return np.asarray((words ^ flipped) - (flipped - offset))


def _shared_words(fields: Array, dtype: DType) -> Array:
    """8 / bits words of fields in one, as int32 (pairs, words)."""
    per_word = 8 // dtype.bits
    filled = np.pad(fields, ((0, 0), (0, -fields.shape[1] % per_word))).reshape(len(fields), -1, per_word)
    shifted = filled << (np.arange(per_word, dtype=np.uint32) * np.uint32(dtype.bits))
    return np.asarray(np.bitwise_or.reduce(shifted, axis=2)).view(np.int32)


@lru_cache(maxsize=256)
def _source(wide: GeneratedKernel, base: str, kernel: str, bits: int, folded: int) -> GeneratedKernel:
    """The files of the int8 kernel, whose matrix product is used, and those of the kernel that unpacks."""
    text = dict(wide.files)[f"thimble_{base}.c"]
    columns = _COLUMNS.fullmatch(base)
    form = (columns or _ROWS.fullmatch(base) or [base])[1]
    context = {
        "name": f"thimble_{kernel}",
        "base": f"thimble_{base}",
        "driver": "columns" if columns else "flat_pixels" if "thimble_flat_pixels_dsp(" in text else "wide_rows",
        "function": f"thimble_{'matmul' if columns else 'rows_matmul'}_dsp_{form}",
        "bits": bits,
        "folded": folded,
    }
    own = tuple((f"thimble_{kernel}.{end}", render(f"narrow_conv_2d_dsp.{end}.j2", **context)) for end in ("c", "h"))
    return GeneratedKernel((*wide.files, *own), (*wide.needs, f"unpack_w{bits}_dsp"))
