"""Why a layer keeps a plain C kernel on a core that has its own ones: the reason that the user reads.

Preconditions stand with the kernels, which only say that they do not hold. Which one it is, is found by asking again
for the same layer without what may be in the way: with harmless numbers, without dilation. What cannot be asked for
is read off the layer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from thimble.codegen.kernel_tools.linear_sum import residual_of
from thimble.codegen.kernel_tools.plain_layer import plain_layer
from thimble.codegen.kernel_tools.pools import window_fits
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.codegen.kernels import KernelFamily, KernelSettings, kernels_with_own_form, own_call
from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Argument, Input, KernelCall, ParamValue, Table
from thimble.compiler.ops.add_sub import AddOrSub
from thimble.compiler.ops.batch_matmul import BatchMatmul
from thimble.compiler.ops.conv_2d_add import Conv2DAdd
from thimble.compiler.ops.conv_2d_depthwise import Conv2DDepthwise
from thimble.compiler.ops.convolution import LATE_KERNELS, WeightedOperator
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.reduce import Reduction
from thimble.targets.model import Target

HARMLESS_SHIFT = -9
"""A right shift that every kernel takes."""

LANES = 4
"""Channels of which pools take a word at a time."""

BEYOND_PROOF = "its sums or scales are beyond what other kernels are proved to requantize exactly"
OTHER_SHAPE = "its shape or its types are none that other kernels take"


def why_plain(site: Site, call: KernelCall, whole: bool, target: Target, settings: KernelSettings) -> str | None:
    """Why the plain `call` of a layer stays, however much scratch there is; None where the target has its own.

    `whole`: the call is for whole tensors.
    """
    if settings.family is KernelFamily.C:
        return "--kernels c asks for plain C"
    if call.kernel not in kernels_with_own_form(target):
        if call.kernel in LATE_KERNELS.values():
            return f"its output lies over its input by kernels that write late, which are plain C on {target.core}"
        return f"there is only plain C for {call.kernel} on {target.core}"

    def has_own(changed: KernelCall) -> bool:
        return own_call(site, changed, whole, target, settings) is not None

    if has_own(call):
        return None
    harmless = _with_harmless_numbers(call)
    if harmless != call and has_own(harmless):
        return _numbers(site, call)
    sizes = sizes_of(call)
    if max(sizes.get("dilation_height", 1), sizes.get("dilation_width", 1)) > 1 and has_own(
        _without_dilation(harmless)
    ):
        return "its window is dilated"
    return _shape(site, call, sizes)


def _with_harmless_numbers(call: KernelCall) -> KernelCall:
    """The call with multipliers below 0.5 and without its bias, of the same weights and shape."""
    channels = next((len(a.data) for a in call.arguments if isinstance(a, Table) and a.name == "multipliers"), 0)
    changed = {
        "multipliers": Table("multipliers", np.full(channels, 1 << 30, np.int32)),
        "shifts": Table("shifts", np.full(channels, HARMLESS_SHIFT, np.int8)),
        "bias": Table("bias", np.zeros(channels, np.int32)),
    }

    def harmless(argument: Argument) -> Argument:
        name = argument.name if isinstance(argument, Table) else "bias" if argument == Input(2) else ""
        return changed.get(name, argument)

    return replace(call, arguments=tuple(map(harmless, call.arguments))) if channels else call


def _without_dilation(call: KernelCall) -> KernelCall:
    def changed(name: str, value: ParamValue) -> ParamValue:
        return 1 if "dilation" in name else value

    return replace(call, params=tuple((name, changed(name, value)) for name, value in call.params))


def _numbers(site: Site, call: KernelCall) -> str:
    """How large sums and multipliers are that no kernel is proved to requantize exactly."""
    layer = plain_layer(site, call, 3 if isinstance(site.op, DepthwiseConv2D) else 0)
    if layer is None:
        return BEYOND_PROOF
    bits = int(layer.bounds.max()).bit_length() + 1
    low, high = int(layer.shifts.min()) - 1, int(layer.shifts.max())
    return f"{BEYOND_PROOF}: sums take up to {bits} bits, and multipliers lie between 2^{low} and 2^{high}"


def _shape(site: Site, call: KernelCall, sizes: Sizes) -> str:
    """What is seen of a layer that no other numbers would help."""
    window = f"{sizes.get('kernel_height')}x{sizes.get('kernel_width')}"
    rules = (
        (isinstance(site.op, WeightedOperator) and site.input(1).role is not Role.CONSTANT, "its weights are computed"),
        (isinstance(site.op, Conv2DAdd) and residual_of(site) is None, "its addition has no constants that are exact"),
        (isinstance(site.op, Conv2DAdd), f"{BEYOND_PROOF}, or its window is larger than such kernels take"),
        (isinstance(site.op, Conv2DDepthwise), f"{BEYOND_PROOF}, or it is no whole image that such kernels take"),
        (isinstance(site.op, AddOrSub) and not _is_elementwise(site), "an operand is broadcast"),
        (isinstance(site.op, AddOrSub), "no constants in one step give all of its bytes"),
        (
            "group_channels" in sizes and sizes["group_channels"] != sizes["input_channels"],
            "it is a grouped convolution",
        ),
        (
            isinstance(site.op, DepthwiseConv2D) and sizes["multiplier"] != 1,
            f"each input channel has {sizes.get('multiplier')} output channels",
        ),
        (sizes.get("weights_zero_point", 0) != 0, "its weights have a zero point"),
        (_is_narrow_and_dense(site) and _channels(site) < 2, "it has one output channel, of weights below 8 bits"),
        (_pools(call) and _channels(site) < LANES, f"it has fewer than {LANES} channels"),
        (_pools(call) and not window_fits(sizes), "its window has more pixels than sums of 16 bits take"),
        (_pools(call), "it takes so few cycles that flash counts for more"),
        (
            isinstance(site.op, BatchMatmul) and sizes.get("rows") == 1,
            "laying out its columns does not pay for one row",
        ),
        (isinstance(site.op, BatchMatmul), f"{BEYOND_PROOF}, or its depth is larger than such kernels take"),
        (isinstance(site.op, Reduction), "it has few channels, or other axes than those of an image"),
        ("kernel_height" in sizes, f"its window of {window} is larger than such kernels take"),
    )
    return next((text for holds, text in rules if holds), OTHER_SHAPE)


def _is_elementwise(site: Site) -> bool:
    return all(value is None or value.type.shape == site.output().type.shape for value in site.inputs)


def _is_narrow_and_dense(site: Site) -> bool:
    """Whether weights of fewer than 8 bits are multiplied, all input channels for each output channel."""
    dense = isinstance(site.op, WeightedOperator) and not isinstance(site.op, DepthwiseConv2D)
    return dense and site.input(1).type.dtype.is_packed


def _channels(site: Site) -> int:
    return site.output().type.shape[-1]


def _pools(call: KernelCall) -> bool:
    return call.kernel.startswith(("average_pool_2d_s", "max_pool_2d_s"))
