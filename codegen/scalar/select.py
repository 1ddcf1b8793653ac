"""Which kernel calls of a layer have a specialised form on cores without SIMD instructions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from thimble.codegen.kernel_tools.sizes import Sizes
from thimble.codegen.scalar.addition import specialise_add
from thimble.codegen.scalar.batch_matmul import specialise_batch_matmul
from thimble.codegen.scalar.convolution import conv_2d_variants, specialise_conv_2d, specialise_conv_2d_add
from thimble.codegen.scalar.core import Core
from thimble.codegen.scalar.depthwise import depthwise_variants, specialise_depthwise
from thimble.codegen.scalar.fully_connected import fully_connected_variants, specialise_fully_connected
from thimble.codegen.scalar.sums import specialise_sum
from thimble.codegen.tuned import NOT_TUNED, TunedKernels
from thimble.codegen.variants import Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall

KERNELS: Mapping[str, Callable[[Site, KernelCall, Core, bool, int], KernelCall | None]] = {
    "add_s8": specialise_add,
    "batch_matmul_s8": specialise_batch_matmul,
    "conv_2d_s8": specialise_conv_2d,
    "conv_2d_add_s8": specialise_conv_2d_add,
    "conv_2d_late_s8": specialise_conv_2d,
    "depthwise_conv_2d_late_s8": specialise_depthwise,
    "depthwise_conv_2d_s8": specialise_depthwise,
    "fully_connected_s8": specialise_fully_connected,
    "reduce_sum_s8": specialise_sum,
}
"""By the plain kernel's name; each takes the most bytes of scratch, and gives None where its preconditions fail."""


VARIANTS: Mapping[str, Callable[[Sizes, bool], tuple[Variant, ...]]] = {
    "conv_2d_s8": conv_2d_variants,
    "depthwise_conv_2d_s8": depthwise_variants,
    "fully_connected_s8": fully_connected_variants,
}
"""Ways to make a kernel by the plain one's name, its numbers, and whether it is for whole tensors."""


def specialise(
    site: Site,
    call: KernelCall,
    whole: bool,
    core: Core,
    scratch_limit_bytes: int | None = None,
    tuned: TunedKernels = NOT_TUNED,
) -> KernelCall | None:
    """The specialised call with the same bytes, or None where the plain kernel has to stay.

    `whole`: the call is for whole tensors, whose rows lie one behind the other. Among kernels that were measured, the
    fastest is taken.
    """
    find = KERNELS.get(call.kernel)
    if find is None:
        return None

    def make(variant: Variant, limit_bytes: int) -> KernelCall | None:
        return find(site, call, replace(core, variant=variant), whole, limit_bytes)

    return tuned.call_of(site, call, whole, scratch_limit_bytes, make, core.variant)
