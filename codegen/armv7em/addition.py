"""ADD and SUB of tensors of one shape on Armv7E-M: (a * x + b * y + c) >> shift where that gives every byte.

The plain kernel rescales both operands, adds and rescales again, with three roundings. Its result is a function of two
bytes: constants are taken only if all 65,536 pairs of them give what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

import numpy as np

from thimble.codegen.armv7em.assembly import Listing, registers
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.rendering import render
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, GeneratedKernel, Input, KernelCall, Output, ParamValue
from thimble.compiler.ops.fixed_point import requantize

SHIFTS = (22, 21, 20, 19, 18)
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
    """(a * x + b * y + c) >> shift, before the output limits; no sum leaves 32 bits."""

    a: int
    b: int
    c: int
    shift: int


@dataclass(frozen=True, slots=True)
class AddForm:
    """What one function is generated for."""

    shift: int
    clamps: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.shift}{'c' * self.clamps}"


def specialise_add(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """The linear form in place of thimble_add_s8; None where operands are broadcast or no constants are exact."""
    params = dict(call.params)
    count = _contiguous_elements(params)
    if count is None:
        return None
    low, high = _number(params, "output_min"), _number(params, "output_max")
    clamps = (low, high) != (-128, 127)
    found = _linear_sum(tuple((name, _number(params, name)) for name in SUM_PARAMS))
    if found is None:
        return None
    form = AddForm(found.shift, clamps)
    ceiling = 255 - (high - low)
    if clamps:
        found = LinearSum(found.a, found.b, found.c - (low << found.shift), found.shift)
    numbers = (("count", count), ("a", found.a), ("b", found.b), ("c", found.c), ("low", low), ("ceiling", ceiling))
    return KernelCall(f"add_dsp_{form.name}", numbers, (Input(0), Input(1), Output()), add_source(form))


@lru_cache(maxsize=1024)
def _linear_sum(constants: tuple[tuple[str, int], ...]) -> LinearSum | None:
    """The linear form of a sum with these constants; parts of a layer, and each try to plan it, ask again."""
    params: dict[str, ParamValue] = dict(constants)
    low, high = _number(params, "output_min"), _number(params, "output_max")
    return fit_sum(_all_pairs(params), _nominal(params), low, high)


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


def fit_sum(wanted: Array, nominal: tuple[float, float], low: int, high: int) -> LinearSum | None:
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
            if least <= most and reach < 1 << 31 and (best is None or most - least > best[0]):
                best = most - least, LinearSum(a, b, c, shift)
        if best is not None:
            return best[1]
    return None


def add_listing(form: AddForm) -> Listing:
    """void f(const params *, const int8_t *, const int8_t *, int8_t *, int32_t words): four elements a turn."""
    a = Listing(f"thimble_add_words_dsp_{form.name}")
    sums = ("r10", "r11", "r12", "lr")
    a.op("push", registers(["r4-r11", "lr"]))
    a.op("ldr", "r4", "[sp, #36]", note="words")
    a.op("add", "r4", "r3", "r4", "lsl #2", note="end of the output")
    if form.clamps:
        a.op("ldrd", "r7", "r8", "[r0, #16]", note="low, ceiling")
        a.op("push", "{r4, r7, r8}")
    else:
        a.op("push", "{r4}")
    a.op("ldrd", "r4", "r5", "[r0, #4]", note="a, b")
    a.op("ldr", "r6", "[r0, #12]", note="c")
    a.op(".balign", 4)
    a.label("turn", f"{31 + 4 * form.clamps} cycles")
    a.op("ldr", "r7", "[r1], #4")
    a.op("ldr", "r8", "[r2], #4")
    for i, total in enumerate(sums):
        rotated = (f"ror #{8 * i}",) if i else ()
        a.op("sxtb", "r9", "r7", *rotated)
        a.op("mla", total, "r9", "r4", "r6")
        a.op("sxtb", "r9", "r8", *rotated)
        a.op("mla", total, "r9", "r5", total)
        a.op("usat" if form.clamps else "ssat", total, "#8", total, f"asr #{form.shift}")
    a.op("bfi", sums[0], sums[1], "#8", "#8")
    a.op("bfi", sums[2], sums[3], "#8", "#8")
    a.op("ldr", "r0", "[sp]")
    a.op("pkhbt", sums[0], sums[0], sums[2], "lsl #16")
    if form.clamps:
        a.op("ldrd", "r7", "r8", "[sp, #4]")
        a.op("uqadd8", sums[0], sums[0], "r8", note="saturates at the upper limit")
        a.op("uadd8", sums[0], sums[0], "r7")
    a.op("str", sums[0], "[r3], #4")
    a.op("cmp", "r3", "r0")
    a.branch("bne", "turn")
    a.op("add", "sp", "sp", f"#{12 if form.clamps else 4}")
    a.op("pop", registers(["r4-r11", "pc"]))
    return a


@lru_cache(maxsize=256)
def add_source(form: AddForm) -> GeneratedKernel:
    """The files of kernel add_dsp_<form>."""
    name = f"thimble_add_dsp_{form.name}"
    files = (
        (f"{name}.c", render("add_dsp.c.j2", form=form, assembly=add_listing(form).text)),
        (f"{name}.h", render("add_dsp.h.j2", form=form)),
    )
    return GeneratedKernel(files)
