"""ADD and SUB of tensors of one shape on Armv7E-M: (a * x + b * y + c) >> shift where that gives every byte.

The constants are those of kernel_tools/linear_sum.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from thimble.codegen.armv7em.assembly import Listing, registers
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.rendering import render
from thimble.codegen.kernel_tools.linear_sum import LinearSum, exact_sum
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import GeneratedKernel, Input, KernelCall, Output


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
    exact = exact_sum(call)
    if exact is None:
        return None
    count, found, (low, high) = exact
    clamps = (low, high) != (-128, 127)
    form = AddForm(found.shift, clamps)
    ceiling = 255 - (high - low)
    if clamps:
        found = LinearSum(found.a, found.b, found.c - (low << found.shift), found.shift)
    numbers = (("count", count), ("a", found.a), ("b", found.b), ("c", found.c), ("low", low), ("ceiling", ceiling))
    return KernelCall(f"add_dsp_{form.name}", numbers, (Input(0), Input(1), Output()), add_source(form))


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
