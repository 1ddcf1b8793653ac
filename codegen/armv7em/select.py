"""Which kernel calls of a layer have a specialised form on Armv7E-M with DSP instructions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import product

from thimble.codegen.armv7em.addition import specialise_add
from thimble.codegen.armv7em.batch_matmul import specialise_batch_matmul
from thimble.codegen.armv7em.conv_2d_depthwise import specialise_conv_2d_depthwise
from thimble.codegen.armv7em.convolution import conv_2d_variants, specialise_conv_2d, specialise_conv_2d_late
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.depthwise_convolution import depthwise_variants, specialise_depthwise
from thimble.codegen.armv7em.narrow_weights import specialise_narrow_conv_2d
from thimble.codegen.armv7em.packed_activations import (
    packed_kernels,
    specialise_packed_accumulation,
    specialise_packed_conv_2d,
    specialise_packed_depthwise,
    specialise_packed_pool,
)
from thimble.codegen.armv7em.packed_elements import specialise_packed_add, specialise_packed_fully_connected
from thimble.codegen.armv7em.pixel_sums import (
    specialise_accumulation,
    specialise_average_pool,
    specialise_max_pool,
    specialise_sum,
)
from thimble.codegen.armv7em.quantization import specialise_quantize
from thimble.codegen.armv7em.reorder import reordered
from thimble.codegen.armv7em.vector_matmul import fully_connected_variants, specialise_fully_connected
from thimble.codegen.kernel_tools.sizes import Sizes
from thimble.codegen.tuned import NOT_TUNED, TunedKernels
from thimble.codegen.variants import Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall

ACCUMULATING = (
    *(f"average_pool_2d_accumulate_s{bits}" for bits in (4, 2)),
    *(f"reduce_sum_accumulate_s{given}_s8" for given in (4, 2)),
)
"""Plain kernels that add up packed rows."""

KERNELS: Mapping[str, Callable[[Site, KernelCall, Core, bool, int], KernelCall | None]] = {
    "add_s8": specialise_add,
    "average_pool_2d_accumulate_s8_s16": specialise_accumulation,
    "average_pool_2d_s8": specialise_average_pool,
    "batch_matmul_s8": specialise_batch_matmul,
    "conv_2d_depthwise_s8": specialise_conv_2d_depthwise,
    "conv_2d_late_s8": specialise_conv_2d_late,
    "conv_2d_s8": specialise_conv_2d,
    **dict.fromkeys((f"add_s{a}_s{b}_s{c}" for a, b, c in product((8, 4, 2), repeat=3)), specialise_packed_add),
    **dict.fromkeys(
        (f"{kind}_pool_2d_s{bits}" for kind in ("average", "max") for bits in (4, 2)), specialise_packed_pool
    ),
    **dict.fromkeys(ACCUMULATING, specialise_packed_accumulation),
    **dict.fromkeys(packed_kernels("conv_2d", (8, 4, 2)), specialise_packed_conv_2d),
    **dict.fromkeys(packed_kernels("fully_connected", (8, 4, 2)), specialise_packed_fully_connected),
    **dict.fromkeys(packed_kernels("depthwise_conv_2d", (8, 4, 2)), specialise_packed_depthwise),
    "conv_2d_s8_w4_s8": specialise_narrow_conv_2d,
    "conv_2d_s8_w2_s8": specialise_narrow_conv_2d,
    "depthwise_conv_2d_late_s8": specialise_depthwise,
    "depthwise_conv_2d_s8": specialise_depthwise,
    "depthwise_conv_2d_s8_w4_s8": specialise_depthwise,
    "depthwise_conv_2d_s8_w2_s8": specialise_depthwise,
    "fully_connected_s8": specialise_fully_connected,
    "fully_connected_s8_w4_s8": specialise_fully_connected,
    "fully_connected_s8_w2_s8": specialise_fully_connected,
    "max_pool_2d_s8": specialise_max_pool,
    "quantize_s8": specialise_quantize,
    "reduce_sum_accumulate_s8_s16": specialise_accumulation,
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

    `whole`: the call is for whole tensors, whose rows lie one behind the other. Where there is a limit of scratch,
    kernels work in smaller portions, down to the least that each can do with. Among those that were measured, the
    fastest is taken.
    """
    find = KERNELS.get(call.kernel)
    if find is None:
        return None

    def make(variant: Variant, limit_bytes: int) -> KernelCall | None:
        made = find(site, call, replace(core, variant=variant), whole, limit_bytes)
        return None if made is None else reordered(made, core.pipeline)

    return tuned.call_of(site, call, whole, scratch_limit_bytes, make, core.variant, core.compact)
