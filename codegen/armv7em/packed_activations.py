"""Activations of 4 or 2 bits: kernels for int8 rows, between unpacking what a window needs and packing what is made.

Each input row of a call is unpacked once, about 3 cycles an element, and each output row is packed: a few rows of int8
stand in scratch, while the tensors stay packed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import product
from math import prod

from thimble.codegen.armv7em.convolution import specialise_conv_2d
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.depthwise_layer import specialise_depthwise
from thimble.codegen.armv7em.narrow_weights import specialise_narrow_conv_2d
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.compiler.ir.graph import Site, Value
from thimble.compiler.ir.operator import (
    Argument,
    EndRow,
    FirstRow,
    GeneratedKernel,
    Input,
    InputRows,
    KernelCall,
    OutputRows,
    ParamValue,
    Rounding,
    Scratch,
    Table,
)
from thimble.compiler.ir.types import DType

MAX_UNPACKED_BYTES = 1 << 16
"""Most scratch for unpacked rows: offsets of rows have 16 bits, in words."""

FLAT_PIXELS = 32
"""Longest row that pixels of pointwise layers are put into: more of them are unpacked weights for less, and scratch."""

_ALIGNMENT = 8
"""Of each scratch of a call, where there are several."""

Find = Callable[[Site, KernelCall, Core, bool, int], KernelCall | None]


def packed_kernels(family: str, weight_bits: Sequence[int]) -> tuple[str, ...]:
    """The plain kernels of a family with activations below 8 bits on either side (ops/packed.py)."""
    activations = [pair for pair in product((8, 4, 2), repeat=2) if pair != (8, 8)]
    return tuple(f"{family}_s{given}_w{bits}_s{made}" for given, made in activations for bits in weight_bits)


def specialise_packed_conv_2d(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The int8 kernel of a convolution around packed rows; None where int8 activations have none either."""
    packed_weights = site.input(1).type.dtype.is_packed
    find: Find = specialise_narrow_conv_2d if packed_weights else specialise_conv_2d
    core = replace(core, winograd_bytes=0)
    longer = _with_longer_rows(site, call) if whole else None
    if longer is not None:
        (flat_call,) = longer.op.lower(longer, Rounding.TFLM)
        found = _around(find, longer, flat_call, core, limit_bytes, flat=True)
        if found is not None and found.scratch_bytes <= limit_bytes:
            return found
    return _around(find, site, call, core, limit_bytes)


def _with_longer_rows(site: Site, call: KernelCall) -> Site | None:
    """A pointwise convolution with its pixels in rows of up to FLAT_PIXELS; None where that is no longer than now."""
    sizes = sizes_of(call)
    ones = ("kernel_height", "kernel_width", "stride_height", "stride_width")
    pixels = prod(site.output().type.shape[:3])
    padded = sizes["pad_top"] or sizes["pad_left"] or prod(site.input(0).type.shape[:3]) != pixels
    if any(sizes[name] != 1 for name in ones) or padded:
        return None
    width = next(n for n in range(FLAT_PIXELS, 0, -1) if pixels % n == 0)
    if width <= sizes["output_width"]:
        return None

    def longer(value: Value) -> Value:
        shape = (1, pixels // width, width, value.type.shape[3])
        return replace(value, type=replace(value.type, shape=shape))

    return replace(site, inputs=(longer(site.input(0)), *site.inputs[1:]), outputs=(longer(site.output()),))


def specialise_packed_depthwise(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """The same for a depthwise convolution."""
    return _around(specialise_depthwise, site, call, core, limit_bytes)


def _around(
    find: Find, site: Site, call: KernelCall, core: Core, limit_bytes: int, flat: bool = False
) -> KernelCall | None:
    """The kernel of `find` around packed rows; `flat`: all pixels of whole tensors are one row after the other."""
    sizes = sizes_of(call)
    own = (*_packed_params(site, sizes), ("flat", int(flat)))
    spare = _scratch_bytes(dict(own))
    if spare > MAX_UNPACKED_BYTES:
        return None
    inner = find(_with_int8_activations(site), call, core, False, limit_bytes - spare - _ALIGNMENT)
    if inner is None or inner.source is None or FirstRow() not in inner.arguments:
        return None
    kernel = f"{inner.kernel}_packed"
    scratch = (
        replace(a, bytes=-(-a.bytes // _ALIGNMENT) * _ALIGNMENT) if isinstance(a, Scratch) else a
        for a in inner.arguments
    )
    params: tuple[tuple[str, ParamValue], ...] = tuple((f"packed.{name}", value) for name, value in own)
    return KernelCall(
        kernel=kernel,
        params=(*params, *((f"kernel.{name}", value) for name, value in inner.params)),
        arguments=(*scratch, Scratch(spare, "uint32_t")),
        source=_source(inner.source, inner.kernel, kernel, tuple(map(_declaration, inner.arguments))),
    )


def _with_int8_activations(site: Site) -> Site:
    def wide(value: Value) -> Value:
        return replace(value, type=replace(value.type, dtype=DType.INT8)) if value.type.dtype.is_packed else value

    return replace(site, inputs=(wide(site.input(0)), *site.inputs[1:]), outputs=(wide(site.output()),))


def _packed_params(site: Site, sizes: Sizes) -> tuple[tuple[str, int], ...]:
    """The fields of thimble_packed_rows_params."""
    given, made = site.input(0).type, site.output().type
    return (
        ("all_rows", prod(given.shape[:2])),
        ("input_height", sizes["input_height"]),
        ("input_width", sizes["input_width"]),
        ("input_channels", sizes["input_channels"]),
        ("input_bits", given.dtype.bits),
        ("first_row", -sizes["pad_top"]),
        ("stride", sizes["stride_height"]),
        ("reach", (sizes["kernel_height"] - 1) * sizes["dilation_height"] + 1 if given.dtype.is_packed else 1),
        ("output_height", sizes["output_height"]),
        ("output_width", sizes["output_width"]),
        ("output_channels", sizes["output_channels"]),
        ("output_bits", made.dtype.bits),
    )


def _scratch_bytes(own: Sizes) -> int:
    """What thimble_packed_rows_open asks for."""
    unpacked = own["input_width"] * own["input_channels"] + 3
    size = -(-2 * own["all_rows"] // 4) * 4 + own["reach"] * (unpacked // 4 * 4) if own["input_bits"] < 8 else 0
    return size + (own["output_width"] * own["output_channels"] if own["output_bits"] < 8 else 0)


def _declaration(argument: Argument) -> tuple[str, str]:
    """An argument as the kernel declares it, and as it is handed to the kernel for int8."""
    if isinstance(argument, InputRows):
        return "const thimble_rows *input", "&rows.input"
    if isinstance(argument, OutputRows):
        return "const thimble_rows *output", "&rows.output"
    if isinstance(argument, FirstRow):
        return "int32_t first", "row"
    if isinstance(argument, EndRow):
        return "int32_t end", "row + 1"
    if isinstance(argument, Scratch):
        return f"{argument.dtype} *scratch", "scratch"
    if isinstance(argument, Table):
        return f"const {argument.data.dtype.name}_t *{argument.name}", argument.name
    if argument == Input(2):
        return "const int32_t *bias", "bias"
    raise ValueError(f"{argument} has no place in a kernel of rows")


@lru_cache(maxsize=256)
def _source(inner: GeneratedKernel, base: str, kernel: str, arguments: tuple[tuple[str, str], ...]) -> GeneratedKernel:
    """The files of the int8 kernel, and those of the one around it."""
    context = {
        "name": f"thimble_{kernel}",
        "base": f"thimble_{base}",
        "declared": [declared for declared, _ in arguments],
        "given": [given for _, given in arguments],
    }
    own = tuple((f"thimble_{kernel}.{end}", render(f"packed_rows_dsp.{end}.j2", **context)) for end in ("c", "h"))
    return GeneratedKernel((*inner.files, *own), (*inner.needs, "packed_rows_dsp"))
