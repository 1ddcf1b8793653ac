"""BATCH_MATMUL on Armv8.1-M with MVE: one row by four columns, laid out as the weights of other layers are."""

from __future__ import annotations

from thimble.codegen.armv81m.arithmetic import MAX_SUM_BITS
from thimble.codegen.armv81m.blocks import BLOCK_CHANNELS, LANES
from thimble.codegen.kernel_tools.matrix_product import MatrixProduct
from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import GeneratedKernel, Input, KernelCall, Output, Scratch


def specialise_batch_matmul(site: Site, call: KernelCall, whole: bool, limit_bytes: int) -> KernelCall | None:
    """Columns laid out at run time in place of thimble_batch_matmul_s8; None where a sum may grow too large."""
    product = MatrixProduct.of(call)
    line_bytes = -(-product.depth // LANES) * LANES
    row_bytes = 0 if sizes_of(call)["left_depth_stride"] == 1 else line_bytes
    columns = product.columns_at_once(BLOCK_CHANNELS, line_bytes + 4, row_bytes, limit_bytes)
    if product.bound << max(product.shift, 0) >= 1 << MAX_SUM_BITS or not columns:
        return None
    params = (*product.params, ("columns_at_once", columns))
    arguments = (Input(0), Input(1), Scratch(columns * (line_bytes + 4) + row_bytes), Output())
    return KernelCall("batch_matmul_mve", params, arguments, GeneratedKernel((), needs=("batch_matmul_mve",)))
