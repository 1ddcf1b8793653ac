"""Kernels for int4 and int2: one source for all widths of elements, and one small instance of it for each that is used.

runtime_c/kernels/thimble_<family>_packed.h holds the source, an inline function that takes the bits of its operands;
an instance is the function that calls it with constants, so that the compiler makes unpacking cheap and firmware holds
no width that it does not need.
"""

from __future__ import annotations

from collections.abc import Sequence

from thimble.compiler.ir.graph import Role, Site, Value
from thimble.compiler.ir.operator import Argument, GeneratedKernel, Input, KernelCall, ParamValue, Shape, Table
from thimble.compiler.ir.packing import pack
from thimble.compiler.ir.types import DType, TensorType

_ROWS = ("const thimble_rows *output", "int32_t first", "int32_t end")
_TABLES = ("const void *weights", "const int32_t *bias", "const int32_t *multipliers", "const int8_t *shifts")
_WHOLE = ("void *output", "int32_t first", "int32_t end")
_SIGNATURES: dict[str, tuple[str, tuple[str, ...]]] = {
    "conv_2d": ("conv_2d", ("const thimble_rows *input", *_TABLES, *_ROWS)),
    "depthwise_conv_2d": ("depthwise_conv_2d", ("const thimble_rows *input", *_TABLES, *_ROWS)),
    "fully_connected": ("fully_connected", ("const void *input", *_TABLES, "void *output")),
    "max_pool_2d": ("pool_2d", ("const thimble_rows *input", *_ROWS)),
    "average_pool_2d": ("pool_2d", ("const thimble_rows *input", *_ROWS)),
    "average_pool_2d_accumulate": ("accumulate", ("const thimble_rows *input", "int32_t *sums", *_WHOLE)),
    "max_accumulate": ("accumulate", ("const thimble_rows *input", "int32_t *maxima", *_WHOLE)),
    "reduce_sum_accumulate": ("accumulate", ("const thimble_rows *input", "int32_t *sums", *_WHOLE)),
    "add": ("add", ("const void *input1", "const void *input2", "void *output")),
    "requantize": ("requantize", ("const void *input", "void *output")),
    "reduce_sum": ("reduce_sum", ("const void *input", "void *output")),
}
"""For each family the header that holds its source, and the arguments of its kernels behind the parameters."""

_WEIGHTED = ("conv_2d", "depthwise_conv_2d", "fully_connected")


def is_packed(site: Site) -> bool:
    """Whether any operand or result of a node shares bytes among elements."""
    return any(value is not None and value.type.dtype.is_packed for value in (*site.inputs, *site.outputs))


def packed_call(
    family: str, widths: Sequence[DType], params: tuple[tuple[str, ParamValue], ...], arguments: tuple[Argument, ...]
) -> KernelCall:
    """The call of a family's instance for operands of these types, each INT8, INT4 or INT2.

    Their order is input, weights, output; operands before the output; the one type of a pool.
    """
    names = [f"s{dtype.bits}" for dtype in widths]
    if family in _WEIGHTED:
        names[1] = f"w{widths[1].bits}"
    kernel = f"{family}_{'_'.join(names)}"
    return KernelCall(kernel, params, arguments, _instance(family, kernel, [dtype.bits for dtype in widths]))


def _instance(family: str, kernel: str, bits: list[int]) -> GeneratedKernel:
    header, arguments = _SIGNATURES[family]
    name = f"thimble_{kernel}"
    declared = ",\n    ".join((f"const {name}_params *params", *arguments))
    given = ", ".join(argument.replace("*", " ").split()[-1] for argument in ("params", *arguments))
    constants = ", ".join(map(str, bits))
    if family in _WEIGHTED:
        constants = f"(thimble_packed_widths){{{constants}}}"
    texts = {
        f"{name}.h": f"""\
/* SPDX-License-Identifier: 0BSD */
#ifndef {name.upper()}_H
#define {name.upper()}_H

#include "thimble_{header}_packed.h"

typedef thimble_{family}_packed_params {name}_params;

/* thimble_{family}_packed for elements of {", ".join(map(str, bits))} bits. */
void {name}(
    {declared});

#endif
""",
        f"{name}.c": f"""\
/* SPDX-License-Identifier: 0BSD */
#include "{name}.h"

void {name}(
    {declared}) {{
    thimble_{family}_packed({given},
        {constants});
}}
""",
    }
    return GeneratedKernel(tuple(texts.items()))


def weights_argument(weights: Value, shape: Shape) -> Argument:
    """A kernel's weights: the model's own int8 ones, or packed ones whose runs along the last axis of `shape` begin at
    a byte of their own."""
    if not weights.type.dtype.is_packed:
        return Input(1)
    return Table("weights", pack(weights.constant.reshape(shape), weights.type.dtype))


def image_sizes(type: TensorType) -> tuple[tuple[str, int], ...]:
    """A tensor as pixels of channels: fields of packed kernels."""
    channels = type.shape[-1] if type.shape else 1
    return (("pixels", type.elements // max(channels, 1)), ("channels", channels))


def fills_bytes(type: TensorType) -> bool:
    """Whether no bits are left over behind a pixel's channels."""
    return type.dtype.bytes_of(type.shape[-1] if type.shape else 1) * 8 == (
        (type.shape[-1] if type.shape else 1) * type.dtype.bits
    )


def as_bytes(site: Site) -> Site:
    """A node that moves whole pixels of a packed type, as the same on their bytes."""

    def of(value: Value) -> Value:
        if not value.type.dtype.is_packed:
            return value
        shape = (*value.type.shape[:-1], value.type.pixel_bytes)
        data = None if value.role is not Role.CONSTANT else pack(value.constant, value.type.dtype)
        return Value(value.name, TensorType(shape, DType.UINT8), value.role, data)

    return Site(site.op, tuple(v and of(v) for v in site.inputs), tuple(map(of, site.outputs)), site.source)
