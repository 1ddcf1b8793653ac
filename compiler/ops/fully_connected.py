"""FULLY_CONNECTED: a matrix product with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, KernelCall, Overlap, Rounding, Shape, Table
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, per_tensor, same_input_output_type, symmetric_int16
from thimble.compiler.ops.convolution import (
    Params,
    WeightedOperator,
    activation_fits,
    bias_array,
    bias_types,
    check_bias_shape,
    exact_matmul,
    multipliers_fit,
    sums_fit,
)
from thimble.compiler.ops.fixed_point import INT32_MAX, INT32_MIN, wrap_int32
from thimble.compiler.ops.overlapping import whole_rows


def int8_matrix(site: Site) -> bool:
    """Weights must be int8, with one scale and zero point, or one scale for each output and zero points of 0."""
    weights = site.input(1).type
    quant = weights.quant
    if weights.dtype is not DType.INT8 or quant is None or not all(scale > 0 for scale in quant.scales):
        return False
    if quant.per_tensor:
        return -128 <= quant.zero_point <= 127
    return quant.axis == 0 and len(quant.scales) == weights.shape[0] and set(quant.zero_points) == {0}


def bias_scale_matches(site: Site) -> bool:
    """The bias scale must be input scale * weight scale, within 0.02 of the output scale."""
    if not site.has_input(2) or not site.input(1).quant.per_tensor:
        return True
    bias = site.input(2).type.quant
    wanted = site.input(0).quant.scale * site.input(1).quant.scale
    return abs(wanted - (bias.scales[0] if bias else 0.0)) / site.output().quant.scale <= 0.02


@dataclass(frozen=True, slots=True)
class FullyConnected(WeightedOperator):
    """Input of rows of D elements, weights (O, D), optional bias (O,), output of rows of O elements.

    The weights may be computed, which is how converters write a product of two activations.
    """

    keep_dims: bool

    name = "fully_connected"
    int16_biases = (DType.INT32, DType.INT64)
    constraints = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        symmetric_int16,
        int8_matrix,
        bias_types(int16_biases),
        bias_scale_matches,
        sums_fit(axis=0),
        multipliers_fit,
        activation_fits,
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, weights = site.input(0).type, site.input(1).type.shape
        if len(weights) != 2 or 0 in weights or not x.elements or x.elements % weights[1]:
            raise MalformedModel(f"{site.source} has weights {weights} that do not divide its input {x.shape}.")
        channels, depth = weights
        check_bias_shape(site, channels)
        if self.keep_dims and (not x.shape or x.shape[-1] != depth):
            raise MalformedModel(f"{site.source} keeps dimensions, but {x.shape} does not end in {depth}.")
        rows = x.elements // depth
        for output in site.outputs[:1]:
            # TFLite Micro takes any output shape that holds the rows, whatever `keep_dims` says.
            if output.type.shape[-1:] == (channels,) and prod(output.type.shape[:-1]) == rows:
                return (output.type.shape,)
        return ((*x.shape[:-1], channels) if self.keep_dims else (rows, channels),)

    def macs(self, site: Site) -> int:
        return site.output().type.elements * site.input(1).type.shape[1]

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        weights = inputs[1].astype(np.int32) - site.input(1).quant.zero_points[0]
        rows = inputs[0].reshape(-1, weights.shape[1]).astype(np.int32) - site.input(0).quant.zero_point
        sums = exact_matmul(rows, weights.T)
        return (self.finish_as(site, sums, rounding).reshape(site.output().type.shape),)

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        rows = inputs[0].reshape(-1, inputs[1].shape[1])
        return (self.finish_real(site, rows @ inputs[1].T, inputs).reshape(site.output().type.shape),)

    def finish_as(self, site: Site, sums: Array, rounding: Rounding) -> Array:
        """Sums of products (..., channels) in int64 to the stored output, rounded as `rounding` says."""
        return self.finish(site, sums) if rounding is Rounding.TFLM else self._finish_real(site, sums)

    def _finish_real(self, site: Site, sums: Array) -> Array:
        """Sums of products to the stored output as LiteRT 2.3 does: scaled in double and rounded once."""
        channels = sums.shape[-1]
        sums = sums + bias_array(site, channels)
        if not self.wide(site):
            sums = wrap_int32(sums)
        real_scale = site.input(0).quant.scale * _weight_scales(site, channels).astype(np.float64)
        return self.store(site, round_to_int32(sums * (real_scale / site.output().quant.scale)))

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        return whole_rows(site)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        channels, depth = site.input(1).type.shape
        geometry: Params = (
            ("rows", site.input(0).type.elements // depth),
            ("depth", depth),
            ("output_channels", channels),
            ("weights_zero_point", site.input(1).quant.zero_points[0]),
        )
        if rounding is Rounding.TFLM:
            return (self.weighted_call(site, "fully_connected", geometry, channels),)
        geometry += (("input_scale", site.input(0).quant.scale), ("output_scale", site.output().quant.scale))
        tables = (Table("weight_scales", _weight_scales(site, channels)),)
        return (self.call_with_tables(site, "fully_connected_litert", geometry, channels, tables),)


def _weight_scales(site: Site, channels: int) -> Array:
    """The weights' scale of each output channel, float32."""
    return np.broadcast_to(np.asarray(site.input(1).quant.scales, np.float32), (channels,)).copy()


def round_to_int32(real: Array) -> Array:
    """The nearest integer, halves away from zero; INT32_MIN where 32 bits do not hold it, as C on x86 converts."""
    whole = np.trunc(real)
    rounded = whole + np.where(np.abs(real - whole) >= 0.5, np.sign(real), 0)
    fits = (rounded >= INT32_MIN) & (rounded <= INT32_MAX)
    return np.where(fits, rounded, INT32_MIN).astype(np.int64)
