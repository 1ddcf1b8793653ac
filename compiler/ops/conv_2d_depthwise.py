"""CONV_2D and the DEPTHWISE_CONV_2D behind it as one node: what lies between them is no tensor.

No model file has it; passes/fuse_depthwise.py makes it of two nodes. The bytes are those of both, one after the other:
each output of the convolution is rounded to int8 before the depthwise one reads it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from thimble.compiler.ir.graph import Site, Value
from thimble.compiler.ir.operator import (
    Argument,
    Array,
    GeneratedKernel,
    Input,
    KernelCall,
    Operator,
    Overlap,
    Rounding,
    Scratch,
    Shape,
    Table,
)
from thimble.compiler.ir.types import TensorType
from thimble.compiler.ops.conv_2d import Conv2D
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.ops.overlapping import pixel_windows
from thimble.compiler.ops.window import Axis

CONVOLUTION_INPUTS = 3
"""Input, weights and optional bias; those of the depthwise convolution come behind them, without its input."""


@dataclass(frozen=True, slots=True)
class Conv2DDepthwise(Operator):
    """Input, weights and optional bias of `convolution`, weights and optional bias of `depthwise`.

    `between` is the type of what the first gives to the second: (N, H, W, C) int8.
    """

    convolution: Conv2D
    depthwise: DepthwiseConv2D
    between: TensorType

    name = "conv_2d_depthwise"

    def convolution_site(self, site: Site) -> Site:
        """The first convolution as a node of its own."""
        return replace(site, op=self.convolution, inputs=site.inputs[:CONVOLUTION_INPUTS], outputs=(self._value(site),))

    def depthwise_site(self, site: Site) -> Site:
        """The depthwise convolution as a node of its own."""
        return replace(site, op=self.depthwise, inputs=(self._value(site), *site.inputs[CONVOLUTION_INPUTS:]))

    def _value(self, site: Site) -> Value:
        return Value(f"{site.output().name} before the depthwise convolution", self.between)

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        return self.depthwise.shapes(self.depthwise_site(site))

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        first = self.convolution.reference(self.convolution_site(site), inputs[:CONVOLUTION_INPUTS], rounding)
        return self.depthwise.reference(self.depthwise_site(site), (*first, *inputs[CONVOLUTION_INPUTS:]), rounding)

    def calls_apart(self, site: Site, rounding: Rounding) -> tuple[KernelCall, KernelCall]:
        """The plain calls of both convolutions, as those of two nodes."""
        (convolution,) = self.convolution.lower(self.convolution_site(site), rounding)
        (depthwise,) = self.depthwise.lower(self.depthwise_site(site), rounding)
        return convolution, depthwise

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        """As if each output pixel read all inputs under the windows that its own window meets; kernels read them
        sooner: all of them, or those of some output rows, before they write any of these."""
        first, second = self.axes(site)
        return pixel_windows(site, (_joined(first[0], second[0]), _joined(first[1], second[1])))

    def axes(self, site: Site) -> tuple[tuple[Axis, Axis], tuple[Axis, Axis]]:
        """The windows of both convolutions along height and width."""
        return (
            self.convolution.axes(self.convolution_site(site)),
            self.depthwise.axes(self.depthwise_site(site)),
        )

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        convolution, depthwise = self.calls_apart(site, rounding)
        rows = self.between.rows
        params = (
            *((f"convolution.{name}", value) for name, value in convolution.params),
            *((f"depthwise.{name}", value) for name, value in depthwise.params),
            ("between_rows", rows),
        )
        arguments = (
            *convolution.arguments[:-3],
            *map(_of_second, depthwise.arguments[1:-3]),
            Scratch(self.between.bytes, "uint8_t"),
            *depthwise.arguments[-3:],
        )
        needs = ("conv_2d_depthwise_s8", "conv_2d_s8", "depthwise_conv_2d_s8")
        return (KernelCall("conv_2d_depthwise_s8", params, arguments, GeneratedKernel((), needs)),)

    def macs(self, site: Site) -> int:
        return self.convolution.macs(self.convolution_site(site)) + self.depthwise.macs(self.depthwise_site(site))


def _joined(first: Axis, second: Axis) -> Axis:
    """A window over the input of `first` that covers all that a window of `second` over its output needs."""
    return Axis(
        input=first.input,
        kernel=(second.kernel - 1) * second.dilation * first.stride + (first.kernel - 1) * first.dilation + 1,
        stride=second.stride * first.stride,
        dilation=1,
        output=second.output,
        pad=second.pad * first.stride + first.pad,
    )


def _of_second(argument: Argument) -> Argument:
    """An argument of the depthwise convolution between its input and its output, as the fused node counts and names
    it."""
    if isinstance(argument, Input):
        return Input(argument.index + CONVOLUTION_INPUTS - 1)
    assert isinstance(argument, Table)
    return replace(argument, name=f"depthwise_{argument.name}")
