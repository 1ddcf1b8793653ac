"""BATCH_MATMUL on cores without SIMD instructions: a block of columns at a time, laid out as weights are elsewhere."""

from __future__ import annotations

from thimble.codegen.kernel_tools.matrix_product import MatrixProduct
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.codegen.scalar.core import Core
from thimble.codegen.scalar.layer import BlockForm, Tail, block_size, unroll_of
from thimble.codegen.scalar.rendering import kernel_source
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Input, KernelCall, Output, Scratch

MIN_ROWS = 2
"""Columns that are laid out for a single row take longer than plain C."""


def specialise_batch_matmul(
    site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int
) -> KernelCall | None:
    """Blocks of columns in place of thimble_batch_matmul_s8; None where the preconditions do not hold."""
    product, sizes = MatrixProduct.of(call), sizes_of(call)
    constants = product.requantization.with_equal_bits()
    block = block_size(product.columns, core.block)
    row_bytes = 0 if sizes["left_depth_stride"] == 1 else product.depth
    columns = product.columns_at_once(block, product.depth + 4, row_bytes, limit_bytes)
    if constants is None or not columns or sizes["rows"] < MIN_ROWS:
        return None
    tail = Tail(constants.uniform_bits, product.rounds_ties, not core.long_multiply)
    form = BlockForm(block, unroll_of(product.depth), tail)
    params = (
        *product.params,
        ("columns_at_once", columns),
        ("scaled_multiplier", int(constants.multipliers[0])),
        ("last_shift", int(constants.shifts[0])),
    )
    scratch = Scratch(columns * (product.depth + 4) + row_bytes)
    name = f"batch_matmul_scalar_{form.name}"
    source = kernel_source("batch_matmul_scalar", name, form=form)
    return KernelCall(name, params, (Input(0), Input(1), scratch, Output()), source)
