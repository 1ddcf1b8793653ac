"""MEAN, SUM and REDUCE_MAX: all elements along some axes become one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import Array, Input, KernelCall, Operator, Output, ParamValue, Rounding, Shape
from thimble.compiler.ir.types import MAX_RANK, DType
from thimble.compiler.ops.axes import wrap_axis
from thimble.compiler.ops.constraints import (
    input_types,
    no_kernel,
    per_tensor,
    same_input_output_type,
    same_quantization,
    scales_comparable,
)
from thimble.compiler.ops.fixed_point import quantize_multiplier, requantize, saturate, wrap_int32

Params = tuple[tuple[str, ParamValue], ...]
_LOOPS = MAX_RANK // 2
"""Runs of kept and of reduced axes alternate, so each kind has at most half of the highest rank."""


@dataclass(frozen=True, slots=True)
class Reduction(Operator):
    """Output: the input's shape without `axes`, or with 1 in their place under `keep_dims`."""

    axes: tuple[int, ...]
    keep_dims: bool

    def reduced(self, site: Site) -> tuple[int, ...]:
        """The axes counted from 0, each once; a scalar has none, whatever the model says."""
        rank = len(site.input(0).type.shape)
        return tuple(sorted({wrap_axis(axis, rank, site.source) for axis in self.axes})) if rank else ()

    def shapes(self, site: Site) -> tuple[Shape, ...]:
        shape, axes = site.input(0).type.shape, self.reduced(site)
        if 0 in shape:
            raise MalformedModel(f"{site.source} reduces a tensor without elements, of shape {shape}.")
        kept = tuple(1 if axis in axes else dim for axis, dim in enumerate(shape))
        return (kept if self.keep_dims else tuple(d for axis, d in enumerate(shape) if axis not in axes),)

    def real(self, x: Array, axes: tuple[int, ...]) -> Array:
        """Plain numbers reduced along `axes`, all of them dropped."""
        raise UnsupportedOp(f"{self.name} has no float form in Thimble.")

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        with np.errstate(all="ignore"):
            reduced = np.asarray(self.real(inputs[0], self.reduced(site)), inputs[0].dtype)
        return (reduced.reshape(site.output().type.shape),)

    def count(self, site: Site) -> int:
        """How many elements become one."""
        return prod(site.input(0).type.shape[axis] for axis in self.reduced(site))

    def loops(self, site: Site) -> Params:
        """The kernel's loops over kept and over reduced elements: neighbouring axes of one kind become one loop."""
        shape, axes = site.input(0).type.shape, self.reduced(site)
        kinds: dict[bool, list[tuple[int, int]]] = {False: [], True: []}
        last, step = None, 1
        for axis, dim in reversed(tuple(enumerate(shape))):
            loops = kinds[axis in axes]
            if dim > 1 and last is loops:
                size, stride = loops[0]
                loops[0] = (size * dim, stride)
            elif dim > 1:
                loops.insert(0, (dim, step))
                last = loops
            step *= dim
        padded = {kind: [(1, 0)] * (_LOOPS - len(loops)) + loops for kind, loops in kinds.items()}
        return (
            ("kept_sizes", tuple(size for size, _ in padded[False])),
            ("kept_strides", tuple(stride for _, stride in padded[False])),
            ("reduced_sizes", tuple(size for size, _ in padded[True])),
            ("reduced_strides", tuple(stride for _, stride in padded[True])),
        )


@dataclass(frozen=True, slots=True)
class Total(Reduction):
    """Base of MEAN and SUM: the sum of the elements, scaled by a factor that a subclass gives."""

    constraints = (
        input_types(DType.INT8, DType.INT16),
        same_input_output_type,
        per_tensor,
        scales_comparable,
    )

    @abstractmethod
    def multiplier(self, site: Site) -> tuple[int, int]:
        """Fixed-point factor from the sum of q - zero_point to the output's units: multiplier and shift."""

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        sums = inputs[0].sum(axis=self.reduced(site), dtype=np.int64)
        return (self.finish(site, sums).reshape(site.output().type.shape),)

    def finish(self, site: Site, sums: Array) -> Array:
        """Sums of stored values in int64 to the stored output: centred, requantized, saturated."""
        made = site.output()
        centred = sums - site.input(0).quant.zero_point * self.count(site)
        scaled = requantize(wrap_int32(centred), *self.multiplier(site))
        low, high = made.type.dtype.range
        return saturate(wrap_int32(scaled + made.quant.zero_point), low, high, made.type.dtype.numpy)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        multiplier, shift = self.multiplier(site)
        dtype = site.output().type.dtype
        params: Params = (
            *self.loops(site),
            ("input_zero_point", site.input(0).quant.zero_point),
            ("multiplier", multiplier),
            ("shift", shift),
            ("output_zero_point", site.output().quant.zero_point),
        )
        kernel = "reduce_sum_s8" if dtype is DType.INT8 else "reduce_sum_s16"
        return (KernelCall(kernel, params, (Input(0), Output())),)


@dataclass(frozen=True, slots=True)
class Sum(Total):
    """The sum of the elements along `axes`, rescaled to the output's scale and saturated."""

    name = "sum"

    def real(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(x.sum(axis=axes))

    def multiplier(self, site: Site) -> tuple[int, int]:
        return quantize_multiplier(site.input(0).quant.scale / site.output().quant.scale)


@dataclass(frozen=True, slots=True)
class Mean(Total):
    """The mean of the elements along `axes`, rescaled to the output's scale and saturated."""

    name = "mean"

    def real(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(x.mean(axis=axes))

    def multiplier(self, site: Site) -> tuple[int, int]:
        """Scale ratio / count, folded as QuantizedMeanOrSum does (TFLite kernels/internal/reference/reduce.h)."""
        multiplier, shift = quantize_multiplier(site.input(0).quant.scale / site.output().quant.scale)
        count = self.count(site)
        headroom = min(count.bit_length() - 1, 32, 31 + shift)
        return (multiplier << headroom) // count, shift - headroom


@dataclass(frozen=True, slots=True)
class ReduceMax(Reduction):
    """The largest of the elements along `axes`."""

    name = "reduce_max"
    constraints = (input_types(DType.INT8), same_input_output_type, per_tensor, same_quantization)

    def real(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(x.max(axis=axes))

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return (np.asarray(inputs[0].max(axis=self.reduced(site))).reshape(site.output().type.shape),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (KernelCall("reduce_max_s8", self.loops(site), (Input(0), Output())),)


@dataclass(frozen=True, slots=True)
class PlainReduction(Reduction):
    """Base of the reductions for float models alone."""

    constraints = (no_kernel,)

    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        return self.float_reference(site, inputs)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        raise NotImplementedError(f"{self.name} has no kernel")


@dataclass(frozen=True, slots=True)
class ReduceMin(PlainReduction):
    """The smallest of the elements along `axes`."""

    name = "reduce_min"

    def real(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(x.min(axis=axes))


@dataclass(frozen=True, slots=True)
class ReduceProd(PlainReduction):
    """The product of the elements along `axes`."""

    name = "reduce_prod"

    def real(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.asarray(x.prod(axis=axes))
