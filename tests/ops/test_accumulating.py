"""Nodes that take their input row by row and give their output behind the last row."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import numpy as np
import pytest

from tests.ops.equal_bytes import assert_same_bytes
from tests.row_host import RowRun, run_rows_on_host
from thimble.compiler.ir.graph import Site, Value, constant
from thimble.compiler.ir.operator import Operator, Rounding, RowForm
from thimble.compiler.ir.types import DType, QuantParams, TensorType
from thimble.compiler.ops.abs import Abs
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.fully_connected import FullyConnected
from thimble.compiler.ops.pool_2d import AveragePool2D, MaxPool2D, Pool2D
from thimble.compiler.ops.reduce import Mean, ReduceMax, Reduction, Sum
from thimble.compiler.ops.window import ExplicitPadding, Padding

Shape = tuple[int, ...]


def activation(name: str, shape: Shape, dtype: DType, scale: float = 0.05, zero_point: int = 0) -> Value:
    return Value(name, TensorType(shape, dtype, QuantParams((scale,), (zero_point,))))


def site_of(op: Operator, x: Value, made: Value, *others: Value) -> Site:
    site = Site(op, (x, *others), (made,), "operator 0")
    assert op.shapes(site) == (made.type.shape,)
    assert all(predicate(site) for predicate in op.constraints)
    return site


def pool(kind: type[Pool2D], shape: Shape, dtype: DType, padding: Padding | ExplicitPadding = Padding.VALID) -> Site:
    zero_point = 7 if dtype is DType.INT8 else 0
    op = kind(shape[1], shape[2], 1, 1, padding, Activation.RELU)
    made = (shape[0], 1, 1, shape[3])
    return site_of(op, activation("x", shape, dtype, 0.05, zero_point), activation("y", made, dtype, 0.05, zero_point))


def reduction(kind: type[Reduction], shape: Shape, axes: tuple[int, ...], keep_dims: bool, dtype: DType) -> Site:
    kept = [1 if axis in axes else dim for axis, dim in enumerate(shape)]
    made = tuple(kept) if keep_dims else tuple(dim for axis, dim in enumerate(shape) if axis not in axes)
    scale = 0.05 if kind is ReduceMax else 0.031
    zeros = (-9, -9) if kind is ReduceMax else (-9, 4)
    x, y = activation("x", shape, dtype, 0.05, zeros[0]), activation("y", made, dtype, scale, zeros[1])
    return site_of(kind(axes, keep_dims), x, y)


def product(shape: Shape, channels: int, dtype: DType, rng: np.random.Generator, wide: bool = True) -> Site:
    depth = int(np.prod(shape))
    weights = TensorType((channels, depth), DType.INT8, QuantParams((0.01,), (0,)))
    bias_type = DType.INT64 if dtype is DType.INT16 and wide else DType.INT32
    bias = TensorType((channels,), bias_type, QuantParams((0.01 * 0.05,), (0,)))
    return site_of(
        FullyConnected(Activation.NONE, keep_dims=False),
        activation("x", shape, dtype, 0.05, 11 if dtype is DType.INT8 else 0),
        activation("y", (1, channels), dtype, 0.9, -3 if dtype is DType.INT8 else 0),
        constant("weights", rng.integers(-127, 128, (channels, depth)).astype(np.int8), weights),
        constant("bias", rng.integers(-2000, 2000, channels).astype(bias_type.numpy), bias),
    )


def sites() -> list[Site]:
    rng = np.random.default_rng(5)
    return [
        *(
            pool(kind, (1, 25, 5, 6), dtype)
            for kind in (AveragePool2D, MaxPool2D)
            for dtype in (DType.INT8, DType.INT16)
        ),
        pool(AveragePool2D, (1, 15, 17, 3), DType.INT8),  # 255 pixels
        pool(AveragePool2D, (1, 16, 16, 3), DType.INT8),  # 256 pixels
        *(
            reduction(kind, shape, axes, keep_dims, DType.INT8)
            for kind in (Mean, Sum, ReduceMax)
            for shape, axes, keep_dims in (
                ((1, 9, 7, 5), (1, 2), True),
                ((1, 17, 16, 5), (1, 2), False),
                ((2, 9, 3, 4), (0, 1, 2), False),
                ((6, 5, 8), (0, 1), True),
                ((1, 5, 1, 8), (1,), False),
            )
        ),
        reduction_of_int16(Mean),
        reduction_of_int16(Sum),
        product((1, 4, 3, 5), 7, DType.INT8, rng),
        product((3, 2, 9), 4, DType.INT8, rng),
        product((1, 4, 3, 5), 7, DType.INT16, rng),
        product((1, 4, 3, 5), 7, DType.INT16, rng, wide=False),
    ]


def reduction_of_int16(kind: type[Reduction]) -> Site:
    x, y = activation("x", (1, 8, 9, 5), DType.INT16, 0.05), activation("y", (1, 5), DType.INT16, 0.04)
    return site_of(kind((1, 2), False), x, y)


def form_of(site: Site) -> RowForm:
    form = site.op.rows(site)
    assert form is not None
    return form


def extremes(rng: np.random.Generator, type_: TensorType) -> list[np.ndarray]:
    """Contents of an input: random, all lowest, all highest."""
    low, high = type_.dtype.range
    random = rng.integers(low, high, type_.shape, endpoint=True)
    return [x.astype(type_.dtype.numpy) for x in (random, np.full(type_.shape, low), np.full(type_.shape, high))]


@pytest.mark.parametrize("rounding", Rounding, ids=lambda rounding: rounding.value)
def test_c_equals_the_reference(rounding: Rounding, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    runs, expected = [], []
    for site in sites():
        assert form_of(site).accumulator_bytes
        others = [value.constant for value in site.inputs[1:] if value is not None]
        for x in extremes(rng, site.input(0).type):
            for over in (None, 0):
                runs.append(RowRun(site, (x, *others), over, rounding))
                expected.append(site.op.reference(site, [x, *others], rounding)[0])
    for run, (got,), want in zip(runs, run_rows_on_host(runs, tmp_path), expected, strict=True):
        assert_same_bytes(got, want, f"{run.site.op} over {run.over}")


def test_sums_take_no_more_bytes_than_they_must() -> None:
    assert form_of(pool(AveragePool2D, (1, 25, 5, 64), DType.INT8)).accumulator_bytes == 128
    assert form_of(pool(AveragePool2D, (1, 15, 17, 64), DType.INT8)).accumulator_bytes == 128
    assert form_of(pool(AveragePool2D, (1, 16, 16, 64), DType.INT8)).accumulator_bytes == 256
    assert form_of(pool(AveragePool2D, (1, 2, 2, 64), DType.INT16)).accumulator_bytes == 256
    assert form_of(pool(MaxPool2D, (1, 25, 5, 64), DType.INT8)).accumulator_bytes == 64
    assert form_of(reduction(Mean, (1, 8, 8, 16), (1, 2), True, DType.INT8)).accumulator_bytes == 32


def test_nodes_of_very_many_rows_run_whole_and_cost_no_time() -> None:
    start = process_time()
    tall = (1, 1 << 22, 1, 1)
    for site in (
        pool(AveragePool2D, tall, DType.INT8),
        reduction(Mean, tall, (1, 2), True, DType.INT8),
        site_of(MaxPool2D(1, 1, 1, 1, Padding.VALID, Activation.NONE), *same_types(tall)),
        site_of(Abs(), *same_types(tall)),
    ):
        assert site.op.rows(site) is None
    assert process_time() - start < 1


def same_types(shape: Shape) -> tuple[Value, Value]:
    return activation("x", shape, DType.INT8), activation("y", shape, DType.INT8)


def test_other_pools_and_reductions_do_not_accumulate() -> None:
    batches = form_of(pool(AveragePool2D, (2, 4, 4, 3), DType.INT8))
    assert (batches.steps, batches.accumulator_bytes) == (2, 0)
    part = form_of(pool(AveragePool2D, (1, 4, 4, 3), DType.INT8, ExplicitPadding((0, 0), (0, 0))))
    assert (part.steps, part.accumulator_bytes) == (1, 0), "parts of other pools are windows"
    for axes in ((1,), (2,), (3,), (1, 2, 3)):
        site = reduction(Mean, (1, 4, 4, 3), axes, True, DType.INT8)
        assert site.op.rows(site) is None
