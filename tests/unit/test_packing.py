"""Packed elements: which bits hold what, and that nothing is lost on the way."""

import numpy as np
import pytest

from thimble.compiler.ir.packing import from_bytes, pack, to_bytes, unpack
from thimble.compiler.ir.types import DType, TensorType

PACKED = (DType.INT4, DType.INT2)


def test_first_element_lies_in_the_lowest_bits() -> None:
    assert pack(np.array([1, -2, 7], np.int8), DType.INT4).tolist() == [0xE1, 0x07]
    assert pack(np.array([1, -2, -1, 0, 1], np.int8), DType.INT2).tolist() == [0b00_11_10_01, 0b01]


@pytest.mark.parametrize("dtype", PACKED)
@pytest.mark.parametrize("shape", [(), (1,), (5,), (2, 3), (3, 2, 4), (1, 2, 3, 7), (2, 0)])
def test_bytes_and_back(dtype: DType, shape: tuple[int, ...]) -> None:
    low, high = dtype.range
    values = np.random.default_rng(3).integers(low, high, shape, np.int8, endpoint=True)
    type_ = TensorType(shape, dtype)
    raw = to_bytes(values, dtype)
    assert len(raw) == type_.bytes
    assert (from_bytes(b"x" + raw, type_, 1) == values).all()


@pytest.mark.parametrize("dtype", PACKED)
def test_all_bytes_stand_for_something(dtype: DType) -> None:
    every = np.arange(256, dtype=np.uint8)
    assert (pack(unpack(every[:, None], 8 // dtype.bits, dtype), dtype)[:, 0] == every).all()


def test_values_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="no int2"):
        pack(np.array([2], np.int8), DType.INT2)


def test_pixels_begin_at_bytes() -> None:
    type_ = TensorType((1, 4, 5, 3), DType.INT4)
    assert (type_.pixel_bytes, type_.row_bytes, type_.bytes) == (2, 10, 40)
    assert TensorType((1, 4, 5, 3), DType.INT2).bytes == 20
    assert TensorType((7,), DType.INT4).bytes == 4
    assert TensorType((), DType.INT2).bytes == 1
