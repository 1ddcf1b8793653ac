"""Which kernel calls of a layer have a specialised form on Armv7E-M with DSP instructions."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from thimble.codegen.armv7em.addition import specialise_add
from thimble.codegen.armv7em.convolution import specialise_conv_2d
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.depthwise_layer import specialise_depthwise
from thimble.codegen.armv7em.pixel_sums import specialise_accumulation, specialise_average_pool
from thimble.codegen.armv7em.quantization import specialise_quantize
from thimble.codegen.armv7em.vector_matmul import specialise_fully_connected
from thimble.codegen.kernel_tools.limits import NO_LIMIT
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall

KERNELS: Mapping[str, Callable[[Site, KernelCall, Core, bool, int], KernelCall | None]] = {
    "add_s8": specialise_add,
    "average_pool_2d_accumulate_s8_s16": specialise_accumulation,
    "average_pool_2d_s8": specialise_average_pool,
    "conv_2d_s8": specialise_conv_2d,
    "depthwise_conv_2d_s8": specialise_depthwise,
    "fully_connected_s8": specialise_fully_connected,
    "quantize_s8": specialise_quantize,
    "reduce_sum_accumulate_s8_s16": specialise_accumulation,
}
"""By the plain kernel's name; each takes the most bytes of scratch, and gives None where its preconditions fail."""


def specialise(
    site: Site, call: KernelCall, whole: bool, core: Core, scratch_limit_bytes: int | None = None
) -> KernelCall | None:
    """The specialised call with the same bytes, or None where the plain kernel has to stay.

    `whole`: the call is for whole tensors, whose rows lie one behind the other. Where there is a limit of scratch,
    kernels work in smaller portions, down to the least that each can do with.
    """
    find = KERNELS.get(call.kernel)
    if find is None:
        return None
    limit = NO_LIMIT if scratch_limit_bytes is None else scratch_limit_bytes
    found = find(site, call, core, whole, limit)
    return None if found is None or found.scratch_bytes > limit else found
