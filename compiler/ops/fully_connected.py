"""FULLY_CONNECTED: a matrix product with weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import (
    Accumulator,
    Array,
    KernelCall,
    Overlap,
    Rounding,
    RowForm,
    Shape,
    Span,
    Table,
)
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.accumulating import accumulated_rows, accumulating
from thimble.compiler.ops.constraints import (
    NARROW,
    activation_fits,
    narrow_weights_of_narrow_inputs,
    per_tensor,
    symmetric_int16,
)
from thimble.compiler.ops.convolution import (
    Params,
    WeightedOperator,
    bias_array,
    check_bias_shape,
    exact_matmul,
)
from thimble.compiler.ops.convolution_constraints import bias_types, mixed_types, multipliers_fit, sums_fit
from thimble.compiler.ops.fixed_point import INT32_MAX, INT32_MIN, wrap_int32
from thimble.compiler.ops.overlapping import whole_rows
from thimble.compiler.ops.packed import fills_bytes, is_packed
from thimble.compiler.ops.row_wise import cut, independent_rows, matching_columns, one_row

_WHOLE = {Rounding.TFLM: "fully_connected", Rounding.LITERT: "fully_connected_litert"}
_ACCUMULATING = {Rounding.TFLM: "fully_connected_accumulate", Rounding.LITERT: "fully_connected_litert_accumulate"}


def narrow_matrix(site: Site) -> bool:
    """Weights must be int8, int4 or int2, with one scale and zero point, or one scale for each output and zero points
    of 0."""
    weights = site.input(1).type
    quant = weights.quant
    if weights.dtype not in NARROW or quant is None or not all(scale > 0 for scale in quant.scales):
        return False
    if quant.per_tensor:
        return -128 <= quant.zero_point <= 127
    return quant.axis == 0 and len(quant.scales) == weights.shape[0] and set(quant.zero_points) == {0}


def symmetric_if_packed(site: Site) -> bool:
    """Weights of a node on int4 or int2 values must be constant and have the zero point 0."""
    weights = site.input(1)
    return not is_packed(site) or (weights.role is Role.CONSTANT and set(weights.quant.zero_points) == {0})


def rows_of_whole_bytes(site: Site) -> bool:
    """The elements of an int4 or int2 input that make one sum must fill whole bytes, or be its last dimension."""
    x = site.input(0).type
    return not x.dtype.is_packed or x.shape[-1:] == site.input(1).type.shape[1:] or fills_bytes(x)


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
        *mixed_types(),
        per_tensor,
        symmetric_int16,
        narrow_matrix,
        narrow_weights_of_narrow_inputs,
        symmetric_if_packed,
        rows_of_whole_bytes,
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
        """Sums of products (..., channels) in int64 to the stored output, rounded as `rounding` says; twice on int4
        and int2."""
        twice = rounding is Rounding.TFLM or is_packed(site)
        return self.finish(site, sums) if twice else self._finish_real(site, sums)

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

    def _accumulates(self, site: Site) -> bool:
        """Whether the rows of the input together are the one row of the matrix."""
        x = site.input(0).type
        return x.rows > 1 and x.elements == site.input(1).type.shape[1] and not is_packed(site)

    def rows(self, site: Site) -> RowForm | None:
        x, made = site.input(0).type, site.output().type
        if self._accumulates(site):
            return accumulated_rows(site, self._sums(site))
        alike = x.shape[:-1] == made.shape[:-1] and x.shape[-1:] == site.input(1).type.shape[1:]
        return independent_rows(self, site) if alike or x.rows == made.rows == 1 else None

    def needed_columns(self, site: Site, columns: Span) -> tuple[Span | None, ...] | None:
        same = site.input(0).type.shape[:-1] == site.output().type.shape[:-1] and not self._accumulates(site)
        return matching_columns(self, site, columns) if same else None

    def restricted(self, site: Site, rows: Span, columns: Span) -> Site:
        x, made = (cut(value, rows, columns) for value in (site.input(0), site.output()))
        return replace(site, inputs=(x, *site.inputs[1:]), outputs=(made,))

    def _sums(self, site: Site) -> Accumulator:
        """One sum for each output channel, in the type of the bias."""
        channels = site.input(1).type.shape[0]
        if site.input(0).type.dtype is DType.INT8:
            return Accumulator(channels * 4)
        return Accumulator(channels * 8, "int64_t")

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        if not self._accumulates(site):
            return self.lower(one_row(site), rounding)
        x = site.input(0).type
        sizes: Params = (("input_rows", x.rows), ("row_size", x.elements // x.rows))
        return (accumulating(self._product(site, rounding, sizes, _ACCUMULATING), self._sums(site)),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        depth = site.input(1).type.shape[1]
        sizes: Params = (("rows", site.input(0).type.elements // depth), ("depth", depth))
        return (self._product(site, rounding, sizes, _WHOLE),)

    def _product(self, site: Site, rounding: Rounding, sizes: Params, kernels: dict[Rounding, str]) -> KernelCall:
        """The call of one of `kernels`; `sizes` are its first parameters."""
        channels = site.input(1).type.shape[0]
        geometry = (
            *sizes,
            ("output_channels", channels),
            ("weights_zero_point", site.input(1).quant.zero_points[0]),
        )
        if rounding is Rounding.TFLM or is_packed(site):
            return self.weighted_call(site, kernels[Rounding.TFLM], geometry, channels)
        geometry += (("input_scale", site.input(0).quant.scale), ("output_scale", site.output().quant.scale))
        tables = (Table("weight_scales", _weight_scales(site, channels)),)
        return self.call_with_tables(site, kernels[rounding], geometry, channels, tables)


def _weight_scales(site: Site, channels: int) -> Array:
    """The weights' scale of each output channel, float32."""
    return np.broadcast_to(np.asarray(site.input(1).quant.scales, np.float32), (channels,)).copy()


def round_to_int32(real: Array) -> Array:
    """The nearest integer, halves away from zero; INT32_MIN where 32 bits do not hold it, as C on x86 converts."""
    whole = np.trunc(real)
    rounded = whole + np.where(np.abs(real - whole) >= 0.5, np.sign(real), 0)
    fits = (rounded >= INT32_MIN) & (rounded <= INT32_MAX)
    return np.where(fits, rounded, INT32_MIN).astype(np.int64)
