"""FULLY_CONNECTED: a matrix product with constant weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation, quantized_range
from thimble.compiler.ops.constraints import (
    bias_matches,
    input_types,
    int8_weights,
    per_tensor,
    same_input_output_type,
    symmetric_int16,
)
from thimble.compiler.ops.convolution import (
    accumulator_fits,
    bias_argument,
    channel_multipliers,
    exact_matmul,
    finish,
    rounds_once,
)


@dataclass(frozen=True, slots=True)
class FullyConnected(Operator):
    """Input (..., D) with all but the last D elements as rows, weights (O, D), optional bias (O,), output (rows, O)."""

    activation: Activation
    keep_dims: bool

    name = "fully_connected"
    constraints = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        symmetric_int16,
        int8_weights(axis=0),
        bias_matches,
        accumulator_fits,
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, weights = site.input(0).type, site.input(1).type.shape
        if len(weights) != 2 or 0 in weights or x.elements % weights[1]:
            raise MalformedModel(f"{site.source} has weights {weights} that do not divide its input {x.shape}.")
        if site.has_input(2) and site.input(2).type.shape != (weights[0],):
            raise MalformedModel(f"{site.source} has a bias of another shape than ({weights[0]},).")
        if self.keep_dims:
            if not x.shape or x.shape[-1] != weights[1]:
                raise MalformedModel(f"{site.source} keeps dimensions, but {x.shape} does not end in {weights[1]}.")
            return ((*x.shape[:-1], weights[0]),)
        return ((x.elements // weights[1], weights[0]),)

    def macs(self, site: Site) -> int:
        return site.output().type.elements * site.input(1).type.shape[1]

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        weights = inputs[1]
        depth = weights.shape[1]
        rows = inputs[0].reshape(-1, depth).astype(np.int32) - site.input(0).quant.zero_point
        accumulator = exact_matmul(rows, weights.T)
        result = finish(site, accumulator, self.activation, rounds_once(rounding))
        return (result.reshape(site.output().type.shape),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        channels, depth = site.input(1).type.shape
        dtype = site.output().type.dtype
        low, high = quantized_range(self.activation, site.output().quant, dtype)
        multipliers, shifts = channel_multipliers(site, channels)
        once: tuple[tuple[str, int], ...] = (("single_rounding", int(rounds_once(rounding))),)
        call = KernelCall(
            kernel="fully_connected_s8" if dtype is DType.INT8 else "fully_connected_s16",
            params=(
                ("rows", site.input(0).type.elements // depth),
                ("depth", depth),
                ("output_channels", channels),
                ("input_zero_point", site.input(0).quant.zero_point),
                ("output_zero_point", site.output().quant.zero_point),
                ("output_min", low),
                ("output_max", high),
                *(once if dtype is DType.INT8 else ()),
            ),
            arguments=(
                Input(0),
                Input(1),
                bias_argument(site, channels),
                Table("multipliers", multipliers),
                Table("shifts", shifts),
                Output(),
            ),
        )
        return (call,)
