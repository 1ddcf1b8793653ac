"""What a plain kernel's call says about a layer with weights, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Table


@dataclass(frozen=True, slots=True)
class PlainLayer:
    """weights (channels, depth) int8; bias int64, multipliers, shifts (channels,); output limits within int8."""

    weights: Array
    bias: Array
    multipliers: Array
    shifts: Array
    input_zero_point: int
    output_zero_point: int
    output_min: int
    output_max: int

    @property
    def limits_inside(self) -> bool:
        """Whether the output limits are narrower than int8."""
        return (self.output_min, self.output_max) != (-128, 127)

    @property
    def rounds_ties(self) -> bool:
        """Whether results below the zero point are ever seen, so that their halves must be rounded away from it.

        Only right shifts round them so.
        """
        return self.output_min < self.output_zero_point and bool((self.shifts < 0).any())

    @property
    def start(self) -> Array:
        """What sums over raw inputs begin with: the bias, and the zero point's share; borders hold the zero point."""
        return np.asarray(self.bias - self.input_zero_point * self.weights.sum(axis=1, dtype=np.int64))

    @property
    def bounds(self) -> Array:
        """The largest |bias + sum of w * (x - zero point)| that any int8 x gives, for each channel."""
        w = self.weights.astype(np.int64)
        positive, negative = np.maximum(w, 0).sum(axis=1), np.minimum(w, 0).sum(axis=1)
        low, high = -128 - self.input_zero_point, 127 - self.input_zero_point
        largest = self.bias + positive * high + negative * low
        smallest = self.bias + positive * low + negative * high
        return np.asarray(np.maximum(np.abs(largest), np.abs(smallest)))


def plain_layer(site: Site, call: KernelCall, channel_axis: int) -> PlainLayer | None:
    """The layer of a plain int8 call; None where its weights are not constant or its output limits are absurd.

    `channel_axis` is that of the output channels in the weights.
    """
    if site.input(1).role is not Role.CONSTANT:
        return None
    numbers = sizes_of(call)
    low, high = numbers["output_min"], numbers["output_max"]
    if not -128 <= low <= high <= 127:
        return None
    tables = {argument.name: argument.data for argument in call.arguments if isinstance(argument, Table)}
    bias = site.input(2).constant if Input(2) in call.arguments else tables["bias"]
    weights = np.moveaxis(site.input(1).constant, channel_axis, 0)
    return PlainLayer(
        weights=weights.reshape(len(weights), -1),
        bias=bias.reshape(-1).astype(np.int64),
        multipliers=tables["multipliers"],
        shifts=tables["shifts"],
        input_zero_point=numbers["input_zero_point"],
        output_zero_point=numbers["output_zero_point"],
        output_min=low,
        output_max=high,
    )
