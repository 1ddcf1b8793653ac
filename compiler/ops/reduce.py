"""MEAN, SUM and REDUCE_MAX: all elements along some axes become one."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import (
    Accumulator,
    Array,
    Input,
    KernelCall,
    Operator,
    Output,
    ParamValue,
    Rounding,
    RowForm,
    Shape,
)
from thimble.compiler.ir.types import MAX_RANK, DType
from thimble.compiler.ops.accumulating import (
    accumulated_rows,
    accumulating_call,
    channel_maxima,
    channel_sums,
    image_params,
)
from thimble.compiler.ops.axes import wrap_axis
from thimble.compiler.ops.constraints import (
    NARROW,
    input_types,
    matching_widths,
    no_kernel,
    per_tensor,
    same_input_output_type,
    same_quantization,
    scales_comparable,
)
from thimble.compiler.ops.fixed_point import quantize_multiplier, requantize, saturate, wrap_int32
from thimble.compiler.ops.packed import image_sizes, is_packed, packed_call

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

    @abstractmethod
    def accumulator(self, site: Site) -> tuple[Accumulator, str]:
        """What a reduction of a whole image to its channels keeps from row to row, and the suffix of its kernel."""

    def rows(self, site: Site) -> RowForm | None:
        if not self.keeps_channels(site):
            return None
        return accumulated_rows(site, self.accumulator(site)[0])

    def keeps_channels(self, site: Site) -> bool:
        """Whether all pixels become one, channel by channel."""
        type_ = site.input(0).type
        return len(type_.shape) - 1 not in self.reduced(site) and self.count(site) == type_.rows * type_.columns

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


def packed_channels_remain(site: Site) -> bool:
    """int4 and int2 must be reduced to one value for each index of the last dimension."""
    op, made = site.op, site.output().type
    return not is_packed(site) or (
        isinstance(op, Reduction) and op.keeps_channels(site) and made.pixel_bytes == made.bytes
    )


@dataclass(frozen=True, slots=True)
class Total(Reduction):
    """Base of MEAN and SUM: the sum of the elements, scaled by a factor that a subclass gives."""

    constraints = (
        input_types(*NARROW, DType.INT16),
        matching_widths,
        packed_channels_remain,
        per_tensor,
        scales_comparable,
    )
    takes_packed = True

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

    def accumulator(self, site: Site) -> tuple[Accumulator, str]:
        return channel_sums(site)

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        sums, suffix = self.accumulator(site)
        multiplier, shift = self.multiplier(site)
        params = (
            *image_params(site),
            ("offset", int(wrap_int32(np.array(-site.input(0).quant.zero_point * self.count(site))))),
            ("multiplier", multiplier),
            ("shift", shift),
            ("output_zero_point", site.output().quant.zero_point),
        )
        low, high = site.output().type.dtype.range
        limits: Params = (("output_min", low), ("output_max", high)) if suffix == "packed" else ()
        return (accumulating_call(site, "reduce_sum_accumulate", suffix, (*params, *limits), sums),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        multiplier, shift = self.multiplier(site)
        dtype = site.output().type.dtype
        if is_packed(site):
            return (self._packed_call(site),)
        params: Params = (
            *self.loops(site),
            ("input_zero_point", site.input(0).quant.zero_point),
            ("multiplier", multiplier),
            ("shift", shift),
            ("output_zero_point", site.output().quant.zero_point),
        )
        kernel = "reduce_sum_s8" if dtype is DType.INT8 else "reduce_sum_s16"
        return (KernelCall(kernel, params, (Input(0), Output())),)

    def _packed_call(self, site: Site) -> KernelCall:
        given, made = site.input(0).type, site.output().type
        multiplier, shift = self.multiplier(site)
        low, high = made.dtype.range
        params: Params = (
            *image_sizes(given),
            ("offset", int(wrap_int32(np.array(-site.input(0).quant.zero_point * self.count(site))))),
            ("multiplier", multiplier),
            ("shift", shift),
            ("output_zero_point", site.output().quant.zero_point),
            ("output_min", low),
            ("output_max", high),
        )
        return packed_call("reduce_sum", (given.dtype, made.dtype), params, (Input(0), Output()))


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

    def accumulator(self, site: Site) -> tuple[Accumulator, str]:
        return channel_maxima(site)

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        maxima, suffix = self.accumulator(site)
        low, high = site.output().type.dtype.range
        params = (*image_params(site), ("output_min", low), ("output_max", high))
        return (accumulating_call(site, "max_accumulate", suffix, params, maxima),)

    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        return (KernelCall("reduce_max_s8", self.loops(site), (Input(0), Output())),)


@dataclass(frozen=True, slots=True)
class PlainReduction(Reduction):
    """Base of the reductions for float models alone."""

    constraints = (no_kernel,)

    def accumulator(self, site: Site) -> tuple[Accumulator, str]:
        raise NotImplementedError(f"{self.name} has no kernel")

    def rows(self, site: Site) -> RowForm | None:
        return None

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
