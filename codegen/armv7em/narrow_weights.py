"""Weights of 4 or 2 bits under int8 activations: the matrix products for int8 weights, which get them unpacked.

All of a layer's weights are unpacked to scratch at the beginning of a call where there is room for them (`once`). Else
those of two channels are, and the int8 kernel's assembly runs on these two: for up to 128 pixels in products of rows,
where unpacking takes the place of the copy that they make anyway, and for up to 16 columns else. Unpacking costs about
5 cycles for four weights, and a call for two channels 200 more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from math import ceil, prod

import numpy as np

from thimble.codegen.armv7em.around import declarations
from thimble.codegen.armv7em.convolution import specialise_conv_2d
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.packing import BIASES, PairsLayout, PairsTable
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.codegen.variants import DEFAULT, Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Argument, Array, GeneratedKernel, KernelCall, Scratch, Table
from thimble.compiler.ir.types import DType

_ONCE = "_once"
_DECLARED = (
    "const thimble_rows *input",
    "const int32_t *packed",
    "uint32_t *scratch",
    "const thimble_rows *output",
    "int32_t first",
    "int32_t end",
)
"""Arguments of the kernels that unpack pairs, in C."""

_PAIR_CYCLES, _PORTION_CYCLES, _WEIGHT_CYCLES = 200, 700, 1.3
"""What a call of the matrix product for one pair costs, a portion of pixels, and unpacking a weight."""


def specialise_narrow_conv_2d(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The int8 kernel's call with packed weights; None where int8 weights have none either."""
    direct, wide = replace(core, winograd_bytes=0), with_int8_weights(site)
    own_code = replace(direct, compact=False)

    def find(room: int) -> KernelCall | None:
        made = (specialise_conv_2d(wide, call, core, whole, room) for core in (direct, own_code))
        return next((one for one in made if one is not None), None)

    by_pairs = specialise_by_pairs(site, call, own_code, whole, limit_bytes)
    return least_unpacking(site, whole, by_pairs, find, limit_bytes)


def specialise_by_pairs(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """The kernel that unpacks the weights of two channels at a time; None where there is none for int8 weights."""
    ways = (core.variant, Variant("rows"), Variant("columns")) if core.variant == DEFAULT else (core.variant,)
    wide = with_int8_weights(site)
    made = (specialise_conv_2d(wide, call, replace(core, variant=way), whole, limit_bytes) for way in ways)
    tables = ((one, _pairs_of(one)) for one in made if one)
    found, table = next(((one, table) for one, table in tables if table and table.layout.driver), (None, None))
    if found is None or table is None or found.source is None:
        return None
    dtype, layout = site.input(1).type.dtype, table.layout
    extra_bytes = 4 * layout.pair_words if layout.driver == "columns" else 0
    name = f"{found.kernel}_w{dtype.bits}"
    return _narrowed(found, table, dtype, name, extra_bytes, _pairs_source(found.source, found.kernel, name, layout))


def least_unpacking(
    site: Site, whole: bool, by_pairs: KernelCall | None, find: Callable[[int], KernelCall | None], limit_bytes: int
) -> KernelCall | None:
    """`by_pairs`, or what `find` makes for int8 weights within some bytes, all weights unpacked at once: the faster."""
    found = find(limit_bytes)
    table = None if found is None else _pairs_of(found)
    room = limit_bytes - _once_bytes(table.layout) if table is not None else -1
    beside = find(room) if room >= 0 else None
    once = None if beside is None else _unpacked_once(beside, site.input(1).type.dtype)
    made = [made for made in (by_pairs, once) if made is not None and made.scratch_bytes <= limit_bytes]
    return min(made, key=lambda made: _overhead(made, site, whole), default=None)


def _pairs_of(call: KernelCall) -> PairsTable | None:
    """A kernel's table of pairs of channels; None where it has another one."""
    return next((argument for argument in call.arguments if isinstance(argument, PairsTable)), None)


def _overhead(call: KernelCall, site: Site, whole: bool) -> float:
    """About the cycles of a call that depend on how weights are unpacked and in what portions."""
    sizes = _inner_sizes(call)
    width = sizes["output_width"]
    pixels = prod(site.output().type.shape[:3]) if whole else width
    pixels_at_once = sizes.get("windows") or sizes.get("columns") or sizes.get("pixels_at_once")
    at_once = pixels_at_once or max(sizes["row_pixels"], sizes["rows_at_once"] * width)
    portions, pairs = ceil(pixels / at_once), ceil(sizes["output_channels"] / 2)
    unpacking = _WEIGHT_CYCLES * site.input(1).type.elements
    if call.kernel.endswith(_ONCE):
        return unpacking + portions * _PORTION_CYCLES
    return portions * (unpacking + pairs * _PAIR_CYCLES + _PORTION_CYCLES)


def _inner_sizes(call: KernelCall) -> dict[str, int]:
    """The numbers of a call; of a kernel around another one those of both."""
    return {name.rpartition(".")[2]: value for name, value in sizes_of(call).items()}


def _once_bytes(layout: PairsLayout) -> int:
    """Scratch for all weights of an int8 kernel: thimble_unpack_pairs."""
    return 4 * ((layout.pairs * layout.pair_words + 15) // 8 * 8)


def with_int8_weights(site: Site) -> Site:
    """The node with the same weights, each in a byte of its own."""
    weights = site.input(1)
    wide = replace(weights, type=replace(weights.type, dtype=DType.INT8))
    return replace(site, inputs=(site.inputs[0], wide, *site.inputs[2:]))


def _unpacked_once(wide: KernelCall, dtype: DType) -> KernelCall | None:
    """A kernel for int8 weights behind unpacking all of them to the beginning of its scratch; None without pairs."""
    table = _pairs_of(wide)
    if table is None or wide.source is None:
        return None
    name = f"{wide.kernel}_w{dtype.bits}{_ONCE}"
    inner = any(param.startswith("kernel.") for param, _ in wide.params)
    source = _once_source(wide.source, wide.kernel, name, table.layout, inner, declarations(wide.arguments))
    return _narrowed(wide, table, dtype, name, _once_bytes(table.layout), source)


def _narrowed(
    wide: KernelCall, table: PairsTable, dtype: DType, name: str, extra_bytes: int, source: GeneratedKernel
) -> KernelCall:
    """The call of an int8 kernel with its table packed, and more scratch."""
    first = next(a for a in wide.arguments if isinstance(a, Scratch))

    def narrowed(argument: Argument) -> Argument:
        if argument is table:
            return Table(table.name, _packed(table, dtype))
        return replace(first, bytes=first.bytes + extra_bytes) if argument is first else argument

    return replace(wide, kernel=name, arguments=tuple(map(narrowed, wide.arguments)), source=source)


def _packed(table: PairsTable, dtype: DType) -> Array:
    """The table of packing.pair_words with its words of weights packed, int32, as thimble_unpack_dsp.h reads it."""
    layout = table.layout
    rows = table.data.reshape(-1)[: layout.pairs * layout.pair_words].reshape(layout.pairs, -1)
    behind = rows.shape[1] - layout.constant_words
    words = np.ascontiguousarray(rows[:, BIASES:behind]).view(np.uint32)
    shared = _shared_words(_fields(words, layout.arithmetic.folded, dtype), dtype)
    return np.concatenate((rows[:, :BIASES], shared, rows[:, behind:]), axis=1)


def _fields(words: Array, folded: bool, dtype: DType) -> Array:
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
def _pairs_source(wide: GeneratedKernel, base: str, kernel: str, layout: PairsLayout) -> GeneratedKernel:
    """The files of the int8 kernel, whose matrix product is used, and those of the kernel that unpacks pairs."""
    context = {
        "driver": layout.driver,
        "function": layout.product,
        "folded": int(layout.arithmetic.folded),
        "declared": _DECLARED,
    }
    return _with_own(wide, base, kernel, "narrow_pairs_dsp.c.j2", context)


@lru_cache(maxsize=256)
def _once_source(
    wide: GeneratedKernel,
    base: str,
    kernel: str,
    layout: PairsLayout,
    inner: bool,
    arguments: tuple[tuple[str, str], ...],
) -> GeneratedKernel:
    """The files of the int8 kernel, and those of the kernel that unpacks all weights for it."""
    instead = {"packed": "(const int32_t *)scratch", "scratch": "rest"}
    sizes = "params->kernel." if inner else "params->"
    context = {
        "folded": int(layout.arithmetic.folded),
        "shift": layout.arithmetic.shift,
        "sizes": sizes,
        "words": layout.words_text.format(sizes=sizes),
        "declared": [declared for declared, _ in arguments],
        "given": [instead.get(name, name) for _, name in arguments],
    }
    return _with_own(wide, base, kernel, "narrow_once_dsp.c.j2", context)


def _with_own(
    wide: GeneratedKernel, base: str, kernel: str, template: str, context: Mapping[str, object]
) -> GeneratedKernel:
    """The files of a kernel, and those of the one around it; the name of that one says its bits."""
    bits = int(kernel[len(base) :].removesuffix(_ONCE)[-1])
    named = {"name": f"thimble_{kernel}", "base": f"thimble_{base}", "bits": bits, **context}
    templates = {"c": template, "h": "narrow_conv_2d_dsp.h.j2"}
    own = tuple((f"thimble_{kernel}.{end}", render(text, **named)) for end, text in templates.items())
    return GeneratedKernel((*wide.files, *own), (*wide.needs, f"unpack_w{bits}_dsp"))
