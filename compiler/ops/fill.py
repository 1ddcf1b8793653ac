"""Lowering of padding: a whole tensor filled with one value."""

from __future__ import annotations

import numpy as np

from thimble.compiler.ir.operator import KernelCall, Output
from thimble.compiler.ir.packing import pack
from thimble.compiler.ir.types import DType, TensorType


def fill_output(type: TensorType, value: int | float) -> KernelCall:
    """Fill output 0, of `type`, with the stored value `value`."""
    if type.dtype.is_packed:
        byte = int(pack(np.full(8 // type.dtype.bits, value, np.int8), type.dtype)[0])
        return fill_output(TensorType((type.bytes,), DType.UINT8), byte)
    pattern = np.array([value], type.dtype.numpy).astype(type.dtype.numpy.newbyteorder("<")).tobytes()
    return KernelCall(
        kernel="fill",
        params=(
            ("elements", type.elements),
            ("element_bytes", type.dtype.bytes),
            ("pattern", tuple(pattern.ljust(8, b"\0"))),
        ),
        arguments=(Output(),),
    )
