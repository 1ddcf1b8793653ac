"""ADD and SUB of tensors of one shape on Armv7E-M: (a * x + b * y + c) >> shift where that gives every byte.

The constants are those of kernel_tools/linear_sum.py. SMLAW multiplies a factor of 32 bits by half a word and adds the
upper 32 bits of the 48: bytes at the upper ends of two halves are 256 * x, so that 256 * a gives a * x, and nothing has
to be widened.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from thimble.codegen.armv7em.assembly import Listing, registers
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.kernel_tools.linear_sum import LinearSum, exact_sum
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import GeneratedKernel, Input, KernelCall, Output

FACTOR_SCALE = 1 << 8
"""Of the factors: what they are multiplied with is scaled by 2**8, and the sum takes 2**16 less."""

UNROLL = 2
"""Groups of four elements a turn."""


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
    factors = (("a", FACTOR_SCALE * found.a), ("b", FACTOR_SCALE * found.b))
    numbers = (("count", count), *factors, ("c", found.c), ("low", low), ("ceiling", ceiling))
    return KernelCall(f"add_dsp_{form.name}", numbers, (Input(0), Input(1), Output()), add_source(form))


def add_listing(form: AddForm) -> Listing:
    """void f(const params *, const int8_t *, const int8_t *, int8_t *, int8_t *end): UNROLL words a turn."""
    a = Listing(f"thimble_add_words_dsp_{form.name}")
    a.op("push", registers(["r4-r11", "lr"]))
    if form.clamps:
        a.op("ldrd", "r7", "r8", "[r0, #16]", note="low, ceiling")
        a.op("push", "{r7, r8}")
    a.op("ldrd", "r4", "r5", "[r0, #4]", note="a, b")
    a.op("ldr", "r6", "[r0, #12]", note="c")
    a.op("ldr", "r0", f"[sp, #{44 if form.clamps else 36}]", note="end of the output")
    a.op("mov", "r7", "#0xFF00FF00", note="the upper byte of each half")
    a.op(".balign", 4)
    a.label("turn", f"{UNROLL * (23 + 5 * form.clamps) + 4} cycles")
    for _ in range(UNROLL):
        _four_elements(a, form)
    a.op("cmp", "r3", "r0")
    a.branch("bne", "turn")
    if form.clamps:
        a.op("add", "sp", "sp", "#8")
    a.op("pop", registers(["r4-r11", "pc"]))
    return a


def _four_elements(a: Listing, form: AddForm) -> None:
    """Elements 0 and 2, then 1 and 3, by the halves of a word."""
    a.op("ldr", "r8", "[r1], #4")
    a.op("ldr", "r9", "[r2], #4")
    a.op("and", "r10", "r7", "r8", "lsl #8")
    a.op("and", "r8", "r8", "r7")
    a.op("and", "r11", "r7", "r9", "lsl #8")
    a.op("and", "r9", "r9", "r7")
    for lows, (x, y) in ((("r12", "lr"), ("r10", "r11")), (("r10", "r11"), ("r8", "r9"))):
        for half, total in zip("bt", lows, strict=True):
            a.op(f"smlaw{half}", total, "r4", x, "r6")
        for half, total in zip("bt", lows, strict=True):
            a.op(f"smlaw{half}", total, "r5", y, total)
    for total in ("r12", "lr", "r10", "r11"):
        a.op("usat" if form.clamps else "ssat", total, "#8", total, f"asr #{form.shift}")
    a.op("bfi", "r12", "r10", "#8", "#8")
    a.op("bfi", "lr", "r11", "#8", "#8")
    if form.clamps:
        a.op("ldrd", "r8", "r9", "[sp]")
    a.op("pkhbt", "r12", "r12", "lr", "lsl #16")
    if form.clamps:
        a.op("uqadd8", "r12", "r12", "r9", note="saturates at the upper limit")
        a.op("uadd8", "r12", "r12", "r8")
    a.op("str", "r12", "[r3], #4")


@lru_cache(maxsize=256)
def add_source(form: AddForm) -> GeneratedKernel:
    """The files of kernel add_dsp_<form>."""
    name = f"thimble_add_dsp_{form.name}"
    files = kernel_files(name, "add_dsp", form=form, unroll=UNROLL, assembly=add_listing(form).text)
    return GeneratedKernel(files)
