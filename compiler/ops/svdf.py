"""SVDF: a matrix product into a history of the last inferences, then a dot product along time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ir.graph import Role, Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, Rounding, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.constraints import input_types, is_per_tensor, output_types, per_tensor
from thimble.compiler.ops.convolution import exact_matmul
from thimble.compiler.ops.fixed_point import quantize_multiplier, requantize, saturate, wrap_int32
from thimble.compiler.ops.recurrent import (
    LARGEST_FACTOR,
    is_symmetric_constant,
    states_are_variables,
)

INPUT, FEATURE_WEIGHTS, TIME_WEIGHTS, BIAS, STATE = range(5)
_BIAS_SCALE_TOLERANCE = 1e-5  # PrepareSvdf, TFLite Micro svdf_common.cc


def weights_are_symmetric(site: Site) -> bool:
    """Feature weights must be constant int8, time weights constant int8 or int16, each with one scale, zero point 0."""
    feature, time = site.input(FEATURE_WEIGHTS), site.input(TIME_WEIGHTS)
    return (
        feature.type.dtype is DType.INT8
        and time.type.dtype in (DType.INT8, DType.INT16)
        and is_symmetric_constant(feature)
        and is_symmetric_constant(time)
    )


def state_matches_time_weights(site: Site) -> bool:
    """The state must have the time weights' type, one scale and one zero point, which is 0 for int16."""
    state = site.input(STATE)
    return (
        state.type.dtype is site.input(TIME_WEIGHTS).type.dtype
        and is_per_tensor(state)
        and (state.type.dtype is DType.INT8 or state.quant.zero_point == 0)
    )


def bias_is_scaled(site: Site) -> bool:
    """The bias must be constant int32 and its scale the state's scale times the time weights' scale."""
    bias = site.input(BIAS)
    scale = bias.type.quant.scales[0] if bias.type.quant is not None else 0.0
    expected = site.input(STATE).quant.scale * site.input(TIME_WEIGHTS).quant.scale
    return (
        bias.role is Role.CONSTANT and bias.type.dtype is DType.INT32 and abs(scale - expected) < _BIAS_SCALE_TOLERANCE
    )


def factors_fit(site: Site) -> bool:
    """Input scale * weight scale / state scale, and state scale * weight scale / output scale must be below 2^30."""
    return feature_scale(site) < LARGEST_FACTOR and time_scale(site) < LARGEST_FACTOR


def feature_scale(site: Site) -> float:
    """Factor from sums over the input to the state."""
    return site.input(INPUT).quant.scale * site.input(FEATURE_WEIGHTS).quant.scale / site.input(STATE).quant.scale


def time_scale(site: Site) -> float:
    """Factor from sums over time to the output."""
    return site.input(STATE).quant.scale * site.input(TIME_WEIGHTS).quant.scale / site.output().quant.scale


@dataclass(frozen=True, slots=True)
class Svdf(Operator):
    """Input (B, I), feature weights (F, I), time weights (F, M), bias (U,), state (B, M * F); output (B, U).

    Each of F = U * rank filters keeps its last M values in the state, oldest first. TFLite Micro's integer kernel
    applies no fused activation: the output's clamp to int8 stands for it.
    """

    rank: int

    name = "svdf"
    state_inputs = (STATE,)
    constraints = (
        input_types(DType.INT8),
        output_types(DType.INT8),
        per_tensor,
        states_are_variables,
        weights_are_symmetric,
        state_matches_time_weights,
        bias_is_scaled,
        factors_fit,
    )

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        x, feature, time, bias, state = (site.input(index).type.shape for index in range(5))
        if len(x) != 2 or len(feature) != 2 or len(time) != 2 or 0 in (*x, *feature, *time):
            raise MalformedModel(f"{site.source} needs an input and weights of rank 2, not {x}, {feature} and {time}.")
        filters, memory = time
        if feature != (filters, x[1]):
            raise MalformedModel(f"{site.source} has feature weights {feature}; they must be ({filters}, {x[1]}).")
        if self.rank < 1 or filters % self.rank:
            raise MalformedModel(f"{site.source} has rank {self.rank}, which does not divide its {filters} filters.")
        units = filters // self.rank
        if bias != (units,) or state != (x[0], memory * filters):
            raise MalformedModel(
                f"{site.source} has a bias {bias} and a state {state}; they must be ({units},) and "
                f"({x[0]}, {memory * filters})."
            )
        return ((x[0], units),)

    def macs(self, site: Site) -> int:
        batch, size = site.input(INPUT).type.shape
        filters, memory = site.input(TIME_WEIGHTS).type.shape
        return batch * filters * (size + memory)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        x, feature, time, bias, state = inputs
        filters, memory = time.shape
        quant = site.input(STATE).quant
        sums = exact_matmul(x.astype(np.int32) - site.input(INPUT).quant.zero_point, feature.T)
        scaled = requantize(wrap_int32(sums), *quantize_multiplier(feature_scale(site)))
        history = state.reshape(-1, filters, memory)
        history[:, :, :-1] = history[:, :, 1:].copy()
        # Clamped first, so that adding a zero point wraps around: what the released tflite-micro does.
        newest = np.clip(scaled, *site.input(STATE).type.dtype.range) + quant.zero_point
        history[:, :, -1] = newest.astype(state.dtype)
        state[...] = history.reshape(state.shape)
        products = (history.astype(np.int64) - quant.zero_point) * time
        # With int16 history and weights sums may leave 32 bits, and wrap around as TFLite Micro's do.
        total = wrap_int32(bias + products.sum(axis=2).reshape(-1, filters // self.rank, self.rank).sum(axis=2))
        y = site.output()
        shifted = wrap_int32(requantize(total, *quantize_multiplier(time_scale(site))) + y.quant.zero_point)
        return (saturate(shifted, *y.type.dtype.range, y.type.dtype.numpy),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        batch, size = site.input(INPUT).type.shape
        filters, memory = site.input(TIME_WEIGHTS).type.shape
        feature, time = quantize_multiplier(feature_scale(site)), quantize_multiplier(time_scale(site))
        call = KernelCall(
            kernel="svdf_s8" if site.input(STATE).type.dtype is DType.INT8 else "svdf_s16",
            params=(
                ("batches", batch),
                ("input_size", size),
                ("units", filters // self.rank),
                ("rank", self.rank),
                ("memory", memory),
                ("input_zero_point", site.input(INPUT).quant.zero_point),
                ("state_zero_point", site.input(STATE).quant.zero_point),
                ("output_zero_point", site.output().quant.zero_point),
                ("feature_multiplier", feature[0]),
                ("feature_shift", feature[1]),
                ("time_multiplier", time[0]),
                ("time_shift", time[1]),
            ),
            arguments=(*(Input(index) for index in range(5)), Output()),
        )
        return (call,)
