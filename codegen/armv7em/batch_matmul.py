"""BATCH_MATMUL on Armv7E-M: both matrices widened to int16 without their zero points, two rows by four columns.

Neither matrix need be known when the layer is compiled, and each may have a zero point; products of int16 take one
SMLAD for two. Columns are laid out once for all rows, as many as scratch allows, and two rows once for these columns.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from thimble.codegen.armv7em.assembly import Listing, registers
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.rendering import kernel_files
from thimble.codegen.armv7em.sums_to_bytes import scale_sum
from thimble.codegen.kernel_tools.matrix_product import MatrixProduct
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import GeneratedKernel, Input, KernelCall, Output, Scratch

ROWS, COLUMNS = 2, 4
SUMS = tuple(f"r{n}" for n in range(4, 4 + ROWS * COLUMNS))
"""Column by column."""

MAX_DEPTH = 1 << 10
"""Longest depth taken: six lines of it take 12 KiB of scratch, widened."""


@dataclass(frozen=True, slots=True)
class MatricesForm:
    """What one function is generated for: `unroll` steps of two values of the depth in a turn."""

    unroll: int
    scale_bits: int
    last_shift: int
    rounds_ties: bool
    has_fpu: bool

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.scale_bits}s{self.last_shift}u{self.unroll}{'t' * self.rounds_ties}"


def specialise_batch_matmul(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """Widened matrices in place of thimble_batch_matmul_s8; None where the preconditions do not hold."""
    product = MatrixProduct.of(call)
    plain = product.requantization
    constants = plain.with_equal_bits()
    if constants is None or product.depth > MAX_DEPTH:
        return None
    groups = -(-product.depth // 4)
    line_bytes = 8 * groups
    columns = product.columns_at_once(COLUMNS, line_bytes, ROWS * line_bytes, limit_bytes)
    if not columns:
        return None
    unroll, last_shift = 4 if groups % 2 == 0 else 2, int(constants.shifts[0])
    form = MatricesForm(unroll, constants.uniform_bits, last_shift, product.rounds_ties, core.has_fpu)
    params = (
        *product.params,
        ("columns_at_once", columns),
        ("scale_bits", form.scale_bits),
        ("rounds_ties", int(product.rounds_ties)),
        ("last_shift", last_shift),
        ("constants", (int(constants.multipliers[0]), int(constants.addends[0]))),
    )
    scratch = Scratch((columns + ROWS) * line_bytes, "uint32_t")
    arguments = (Input(0), Input(1), scratch, Output())
    return KernelCall(f"batch_matmul_dsp_{form.name}", params, arguments, matrices_source(form))


def matrices_listing(form: MatricesForm) -> Listing:
    """uint64_t f(const uint32_t *rows, const uint32_t *columns, const uint32_t *rows_end, const int32_t *constants)."""
    a = Listing(f"thimble_matrices_dsp_{form.name}")
    a.op("push", registers(["r2-r11", "lr"]) if not form.has_fpu else registers(["r3-r11", "lr"]))
    if form.has_fpu:
        a.op("vmov", "s0", "r2", note="end of the rows")
    for total in SUMS:
        a.op("mov", total, "#0")
    a.op(".balign", 4)
    cycles = 16 * form.unroll + 7 + (not form.has_fpu)
    a.label("turn", f"{form.unroll * 2 * len(SUMS)} products in {cycles} cycles")
    for step in range(form.unroll):
        _step(a, step)
    a.op("adds", "r1", f"#{4 * COLUMNS * form.unroll}")
    a.op("adds", "r0", f"#{4 * ROWS * form.unroll}")
    a.op(*(("vmov", "r2", "s0") if form.has_fpu else ("ldr", "r2", "[sp]")))
    a.op("cmp", "r0", "r2")
    a.branch("bne", "turn")
    _requantize(a, form)
    a.op("pop", registers(["r2-r11", "pc"]) if not form.has_fpu else registers(["r3-r11", "pc"]))
    return a


def _requantize(a: Listing, form: MatricesForm) -> None:
    """All sums to bytes: r0 those of the first row, r1 of the second."""
    a.op("ldr", "r3", f"[sp, #{0 if form.has_fpu else 4}]", note="constants")
    a.op("ldrd", "r2", "r3", "[r3]", note="multiplier, addend")
    for total in SUMS:
        a.op("lsl", total, total, f"#{form.scale_bits}")
        scale_sum(a, total, "r2", "r3", form.scale_bits, rounds_ties=form.rounds_ties, spare="lr")
        a.op("ssat", total, "#8", total, f"asr #{form.last_shift}")
    for row in range(ROWS):
        a.op("mov", f"r{row}", SUMS[row])
        for column in range(1, COLUMNS):
            a.op("bfi", f"r{row}", SUMS[ROWS * column + row], f"#{8 * column}", "#8")


def _step(a: Listing, step: int) -> None:
    """Two values of the depth: 16 products in 16 cycles."""
    a.op("ldr", "r2", f"[r0, #{4 * ROWS * step}]")
    a.op("ldr", "r3", f"[r0, #{4 * ROWS * step + 4}]")
    for first in range(0, COLUMNS, 2):
        for i, word in enumerate(("r12", "lr")):
            a.op("ldr", word, f"[r1, #{4 * (COLUMNS * step + first + i)}]")
        for i, word in enumerate(("r12", "lr")):
            for row in range(ROWS):
                total = SUMS[ROWS * (first + i) + row]
                a.op("smlad", total, f"r{2 + row}", word, total)


@lru_cache(maxsize=64)
def matrices_source(form: MatricesForm) -> GeneratedKernel:
    """The files of kernel batch_matmul_dsp_<form>."""
    name = f"thimble_batch_matmul_dsp_{form.name}"
    files = kernel_files(name, "batch_matmul_dsp", form=form, assembly=matrices_listing(form).text)
    return GeneratedKernel(files, needs=("matrices_dsp",))
