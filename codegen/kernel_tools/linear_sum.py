"""ADD and SUB of two int8 tensors of one shape as (a * x + b * y + c) >> shift, where that gives every byte.

The plain kernel rescales both operands, adds and rescales again, with three roundings. Its result is a function of two
bytes: constants are taken only if all 65,536 pairs of them give what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

import numpy as np

from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, ParamValue, Rounding
from thimble.compiler.ops.conv_2d_add import Conv2DAdd
from thimble.compiler.ops.fixed_point import requantize

SHIFTS = (22, 21, 20, 19, 18)
MAX_FACTOR = 1 << 23
NEIGHBOURS = 3
"""How far from the nominal factors others are tried."""

SUM_PARAMS = (
    *(f"{name}{number}" for number in (1, 2) for name in ("zero_point", "multiplier", "shift")),
    *("sign", "output_multiplier", "output_shift", "output_zero_point", "output_min", "output_max"),
)
"""The numbers of the plain kernel on which the constants depend."""

LEFT_SHIFT = 20
"""Of the plain kernel: thimble_add_s8.c."""


@dataclass(frozen=True, slots=True)
class LinearSum:
    """(a * x + b * y + c) >> shift, before the output limits; factors fit 24 bits, and no sum leaves 32."""

    a: int
    b: int
    c: int
    shift: int


@dataclass(frozen=True, slots=True)
class Residual:
    """What a convolution with an addition in its tail is made of.

    `convolution` is the node without the addition, `call` its plain call; a `sum` of its output and the residual, in
    this order, gives what lies between the `limits`.
    """

    convolution: Site
    call: KernelCall
    sum: LinearSum
    limits: tuple[int, int]

    @property
    def params(self) -> tuple[tuple[str, int], ...]:
        """The fields of thimble_residual_sum (runtime_c/kernels), `sum` of a kernel's parameters."""
        numbers = (self.sum.a, self.sum.b, self.sum.c, self.sum.shift, *self.limits)
        return tuple(zip((f"sum.{name}" for name in ("a", "b", "c", "shift", "min", "max")), numbers, strict=True))


def residual_of(site: Site) -> Residual | None:
    """The parts of a convolution with an addition; None where the addition has no constants that are exact."""
    op = site.op
    assert isinstance(op, Conv2DAdd)
    convolution, addition = op.calls_apart(site, Rounding.TFLM)
    exact = exact_sum(addition)
    if exact is None:
        return None
    _, found, limits = exact
    if op.residual_comes_first:
        found = replace(found, a=found.b, b=found.a)
    return Residual(op.convolution_site(site), convolution, found, limits)


def exact_sum(call: KernelCall) -> tuple[int, LinearSum, tuple[int, int]] | None:
    """The elements, the constants and the output limits in place of a call of thimble_add_s8.

    None where operands are broadcast or no constants are exact.
    """
    params = dict(call.params)
    count = _contiguous_elements(params)
    if count is None:
        return None
    found = _linear_sum(tuple((name, _number(params, name)) for name in SUM_PARAMS))
    limits = _number(params, "output_min"), _number(params, "output_max")
    return None if found is None else (count, found, limits)


def linear_params(call: KernelCall) -> tuple[tuple[str, int], ...] | None:
    """The parameters of thimble_add_scalar and thimble_add_mve for a call of thimble_add_s8; None as in `exact_sum`."""
    exact = exact_sum(call)
    if exact is None:
        return None
    count, found, (low, high) = exact
    numbers = (("count", count), ("a", found.a), ("b", found.b), ("c", found.c), ("shift", found.shift))
    return (*numbers, ("output_min", low), ("output_max", high))


@lru_cache(maxsize=1024)
def _linear_sum(constants: tuple[tuple[str, int], ...]) -> LinearSum | None:
    """The linear form of a sum with these constants; parts of a layer, and each try to plan it, ask again."""
    params: dict[str, ParamValue] = dict(constants)
    low, high = _number(params, "output_min"), _number(params, "output_max")
    return _fit_sum(_all_pairs(params), _nominal(params), low, high)


def _number(params: dict[str, ParamValue], name: str) -> int:
    value = params[name]
    assert isinstance(value, int)
    return value


def _contiguous_elements(params: dict[str, ParamValue]) -> int | None:
    """The number of elements where both operands are read as they lie; None where one is broadcast."""
    dims, first, second = params["dims"], params["strides1"], params["strides2"]
    assert isinstance(dims, tuple)
    steps = tuple(prod(dims[axis + 1 :]) for axis in range(len(dims)))
    for strides in (first, second):
        assert isinstance(strides, tuple)
        if any(size > 1 and stride != step for size, stride, step in zip(dims, strides, steps, strict=True)):
            return None
    return prod(dims)


def _all_pairs(params: dict[str, ParamValue]) -> Array:
    """(256, 256) int64: the plain kernel's output before its limits for each pair of bytes."""
    x = np.arange(-128, 128)

    def scaled(number: int) -> Array:
        centred = (x - _number(params, f"zero_point{number}")) << LEFT_SHIFT
        return requantize(centred, _number(params, f"multiplier{number}"), _number(params, f"shift{number}"))

    total = scaled(1)[:, None] + _number(params, "sign") * scaled(2)
    scale = _number(params, "output_multiplier"), _number(params, "output_shift")
    return requantize(total, *scale) + _number(params, "output_zero_point")


def _nominal(params: dict[str, ParamValue]) -> tuple[float, float]:
    """Operand scale / output scale of both operands, the second with the sign."""

    def real(multiplier: str, shift: str) -> float:
        return float(_number(params, multiplier)) * 2.0 ** (_number(params, shift) - 31)

    output = real("output_multiplier", "output_shift") * 2.0**LEFT_SHIFT
    return real("multiplier1", "shift1") * output, _number(params, "sign") * real("multiplier2", "shift2") * output


def _fit_sum(wanted: Array, nominal: tuple[float, float], low: int, high: int) -> LinearSum | None:
    """Constants with which every pair of bytes gives `wanted` between `low` and `high`; None if none were found.

    With a and b chosen, each pair bounds c from below and above. Among neighbours of the nominal factors, the widest
    interval of c wins, so that the choice does not hang on the last bit.
    """
    x = np.arange(-128, 128, dtype=np.int64)
    limited = np.clip(wanted, low, high)
    steps = range(-NEIGHBOURS, NEIGHBOURS + 1)
    for shift in SHIFTS:
        best: tuple[int, LinearSum] | None = None
        for i, j in ((i, j) for i in steps for j in steps):
            a, b = (round(factor * 2.0**shift) + step for factor, step in zip(nominal, (i, j), strict=True))
            base = a * x[:, None] + b * x
            least = int(np.where(limited > low, (limited << shift) - base, -(1 << 60)).max())
            most = int(np.where(limited < high, ((limited + 1) << shift) - 1 - base, 1 << 60).min())
            c = (least + most) // 2
            reach = max(abs(int(base.max()) + c), abs(int(base.min()) + c)) + (256 << shift)
            fits = reach < 1 << 31 and max(abs(a), abs(b)) < MAX_FACTOR
            if least <= most and fits and (best is None or most - least > best[0]):
                best = most - least, LinearSum(a, b, c, shift)
        if best is not None:
            return best[1]
    return None
