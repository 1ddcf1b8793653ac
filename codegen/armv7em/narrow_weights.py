"""Weights of 4 or 2 bits under int8 activations: the kernels for int8 weights, which get them unpacked pair by pair.

The matrix products of rows copy the weights of two channels to scratch before they run over all pixels. Unpacking takes
the place of that copy, and costs about 5 cycles for four weights once for up to PIXELS_AT_ONCE pixels.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np

from thimble.codegen.armv7em.convolution import specialise_conv_2d
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.rendering import render
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, GeneratedKernel, KernelCall, Table
from thimble.compiler.ir.types import DType

_ROWS = "conv_2d_rows_dsp_"
_BIASES, _CONSTANTS = 2, 6
"""Words of a pair's table before and behind its weights."""


def specialise_narrow_conv_2d(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The int8 kernel's call with packed weights; None where that is no matrix product of rows."""
    dtype, direct = site.input(1).type.dtype, replace(core, winograd_bytes=0)
    found = specialise_conv_2d(_with_int8_weights(site), call, direct, whole, limit_bytes)
    if found is None or not found.kernel.startswith(_ROWS) or found.source is None:
        return None
    sizes = {name: value for name, value in found.params if isinstance(value, int)}
    arguments = tuple(
        Table(argument.name, _packed(argument.data, sizes, dtype)) if isinstance(argument, Table) else argument
        for argument in found.arguments
    )
    kernel = f"{found.kernel}_w{dtype.bits}"
    source = _source(found.source, found.kernel, kernel, dtype.bits, sizes["folded"])
    return replace(found, kernel=kernel, arguments=arguments, source=source)


def _with_int8_weights(site: Site) -> Site:
    """The node with the same weights, each in a byte of its own."""
    weights = site.input(1)
    wide = replace(weights, type=replace(weights.type, dtype=DType.INT8))
    return replace(site, inputs=(site.inputs[0], wide, *site.inputs[2:]))


def _packed(table: Array, sizes: dict[str, int], dtype: DType) -> Array:
    """The table of packing.pair_words with its words of weights packed, int32, as thimble_unpack_dsp.h reads it."""
    steps = sizes["kernel_width"] * -(-sizes["input_channels"] // 4) * sizes["kernel_height"]
    pairs = -(-sizes["output_channels"] // 2)
    rows = table[: pairs * (_BIASES + 2 * steps + _CONSTANTS)].reshape(pairs, -1)
    words = rows[:, _BIASES:-_CONSTANTS].view(np.uint32)
    parts = (rows[:, :_BIASES], _shared_words(_fields(words, sizes["folded"], dtype), dtype), rows[:, -_CONSTANTS:])
    return np.concatenate(parts, axis=1).reshape(-1)


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
    """The files of the int8 kernel, whose assembly is used, and those of the kernel that unpacks."""
    name, base = f"thimble_{kernel}", f"thimble_{base}"
    flat = "thimble_flat_pixels_dsp(" in dict(wide.files)[f"{base}.c"]
    context = {"name": name, "base": base, "bits": bits, "folded": folded, "flat": flat}
    own = tuple((f"{name}.{end}", render(f"narrow_rows_dsp.{end}.j2", **context)) for end in ("c", "h"))
    return GeneratedKernel((*wide.files, *own), (*wide.needs, "unpack_dsp"))
