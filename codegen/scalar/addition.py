"""ADD and SUB of tensors of one shape on cores without SIMD instructions."""

from __future__ import annotations

from thimble.codegen.kernel_tools.linear_sum import linear_params
from thimble.codegen.scalar.core import Core
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Input, KernelCall, Output


def specialise_add(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """The linear form in place of thimble_add_s8; None where operands are broadcast or no constants are exact."""
    params = linear_params(call)
    if params is None:
        return None
    return KernelCall("add_scalar", params, (Input(0), Input(1), Output()))
