"""ADD and SUB of tensors of one shape on cores without SIMD instructions."""

from __future__ import annotations

from thimble.codegen.kernel_tools.linear_sum import exact_sum
from thimble.codegen.scalar.core import Core
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Input, KernelCall, Output


def specialise_add(site: Site, call: KernelCall, core: Core, whole: bool, limit_bytes: int) -> KernelCall | None:
    """The linear form in place of thimble_add_s8; None where operands are broadcast or no constants are exact."""
    exact = exact_sum(call)
    if exact is None:
        return None
    count, found, (low, high) = exact
    numbers = (("count", count), ("a", found.a), ("b", found.b), ("c", found.c), ("shift", found.shift))
    limits = (("output_min", low), ("output_max", high))
    return KernelCall("add_scalar", numbers + limits, (Input(0), Input(1), Output()))
