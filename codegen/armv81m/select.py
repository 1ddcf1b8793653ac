"""Which kernel calls of a layer have a specialised form on Armv8.1-M with MVE."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from thimble.codegen.armv81m.addition import specialise_add
from thimble.codegen.armv81m.batch_matmul import specialise_batch_matmul
from thimble.codegen.armv81m.convolution import conv_2d_variants, specialise_conv_2d
from thimble.codegen.armv81m.depthwise import specialise_depthwise
from thimble.codegen.armv81m.fully_connected import specialise_fully_connected
from thimble.codegen.armv81m.pools import (
    specialise_accumulation,
    specialise_average_pool,
    specialise_max_pool,
    specialise_sum,
)
from thimble.codegen.kernel_tools.sizes import Sizes
from thimble.codegen.tuned import NOT_TUNED, TunedKernels
from thimble.codegen.variants import DEFAULT, Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall
from thimble.targets.model import Target

KERNELS: Mapping[str, Callable[[Site, KernelCall, bool, int], KernelCall | None]] = {
    "add_s8": specialise_add,
    "average_pool_2d_accumulate_s8_s16": specialise_accumulation,
    "average_pool_2d_s8": specialise_average_pool,
    "batch_matmul_s8": specialise_batch_matmul,
    "conv_2d_s8": specialise_conv_2d,
    "depthwise_conv_2d_s8": specialise_depthwise,
    "fully_connected_s8": specialise_fully_connected,
    "max_pool_2d_s8": specialise_max_pool,
    "reduce_sum_accumulate_s8_s16": specialise_accumulation,
    "reduce_sum_s8": specialise_sum,
}
"""By the plain kernel's name; each takes the most bytes of scratch, and gives None where its preconditions fail."""

VARIANTS: Mapping[str, Callable[[Sizes, bool], tuple[Variant, ...]]] = {"conv_2d_s8": conv_2d_variants}
"""Ways to make a kernel by the plain one's name, its numbers, and whether it is for whole tensors."""


def has_mve(target: Target) -> bool:
    """Whether the target's core has the vector instructions."""
    return any(extension.startswith("mve") for extension in target.isa.split("+")[1:])


def specialise(
    site: Site,
    call: KernelCall,
    whole: bool,
    scratch_limit_bytes: int | None = None,
    variant: Variant = DEFAULT,
    tuned: TunedKernels = NOT_TUNED,
) -> KernelCall | None:
    """The specialised call with the same bytes, or None where the plain kernel has to stay.

    `whole`: the call is for whole tensors, whose rows lie one behind the other. None too where the call would take
    more scratch than the limit. Among kernels that were measured, the fastest is taken.
    """
    find = KERNELS.get(call.kernel)
    if find is None:
        return None

    def make(way: Variant, limit_bytes: int) -> KernelCall | None:
        if way == DEFAULT:
            return find(site, call, whole, limit_bytes)
        return specialise_conv_2d(site, call, whole, limit_bytes, way)

    return tuned.call_of(site, call, whole, scratch_limit_bytes, make, variant)
