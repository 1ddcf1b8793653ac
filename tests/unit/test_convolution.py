"""Geometry of windows, and what convolutions and matrix products refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tflite_builder import ModelBuilder
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import MalformedModel, ThimbleError, UnsupportedOp
from thimble.compiler.ops.fully_connected import round_to_int32
from thimble.compiler.ops.window import Axis, Padding, resolve_axis, transposed_axis

SIZES = st.integers(1, 9)


def assert_taps_meet(axis: Axis) -> None:
    """Every pair of output and tap that lies on the input is met exactly once, and no other."""
    wanted = {
        (tap, output, output * axis.stride - axis.pad + tap * axis.dilation)
        for tap in range(axis.kernel)
        for output in range(axis.output)
        if 0 <= output * axis.stride - axis.pad + tap * axis.dilation < axis.input
    }
    got = set()
    for tap in axis.taps:
        outputs, inputs = axis.meeting(tap)
        pairs = zip(range(axis.output)[outputs], range(axis.input)[inputs], strict=True)
        got |= {(tap, o, i) for o, i in pairs}
    assert got == wanted


@given(SIZES, SIZES, SIZES, st.integers(1, 4), st.sampled_from(Padding))
def test_taps_of_a_window_meet_the_input(input: int, kernel: int, stride: int, dilation: int, padding: Padding) -> None:
    try:
        axis = resolve_axis(input, kernel, stride, dilation, padding, "here")
    except MalformedModel:
        assert padding is Padding.VALID
        assert (kernel - 1) * dilation + 1 > input
    else:
        assert_taps_meet(axis)


@given(SIZES, SIZES, SIZES, SIZES, st.sampled_from(Padding))
def test_taps_of_a_transposed_window_meet_the_output(
    input: int, output: int, kernel: int, stride: int, padding: Padding
) -> None:
    assert_taps_meet(transposed_axis(input, output, kernel, stride, padding, "here"))


def test_rounding_once_is_half_away_from_zero_and_overflows_as_x86() -> None:
    real = np.array([0.49999999999999994, 0.5, -0.5, 2.5, -2.5, 2147483647.49, 2147483647.5, -2147483648.5, 1e300])
    low = -(1 << 31)
    assert round_to_int32(real).tolist() == [0, 1, -1, 3, -3, 2147483647, low, low, low]


def conv(m: ModelBuilder, **change: Any) -> None:
    """A sound 2x2 CONV_2D or DEPTHWISE_CONV_2D on (1, 4, 4, 2), but for what `change` says."""
    depthwise = change.get("depthwise", False)
    dtype = change.get("dtype", np.int8)
    x = m.tensor((1, 4, 4, 2), dtype, change.get("x_scale", 0.5), 0)
    shape = change.get("weights", (1, 2, 2, 2) if depthwise else (2, 2, 2, 2))
    w = m.tensor(shape, np.int8, 0.5, change.get("weights_zero_point", 0), data=np.full(shape, 127))
    bias = change.get("bias", np.zeros(2))
    b = m.tensor(bias.shape, change.get("bias_dtype", np.int32), 0.25, 0, data=bias)
    y = m.tensor((1, 4, 4, 2), dtype, change.get("y_scale", 1.0), 0)
    fields = {"strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1, **change.get("fields", {})}
    if depthwise:
        m.op("DEPTHWISE_CONV_2D", [x, w, b], [y], "DepthwiseConv2DOptions", **{"depthMultiplier": 1, **fields})
    else:
        m.op("CONV_2D", [x, w, b], [y], "Conv2DOptions", **fields)
    m.interface([x], [y])


def fully_connected(m: ModelBuilder, **change: Any) -> None:
    """A sound FULLY_CONNECTED from 4 to 3 elements, but for what `change` says."""
    x = m.tensor(change.get("x", (1, 4)), np.int8, 0.5, 0)
    w = m.tensor((3, 4), np.int8, change.get("w_scale", 0.5), change.get("w_zero_point", 0), data=np.ones((3, 4)))
    b = m.tensor((3,), np.int32, change.get("bias_scale", 0.25), 0, data=np.zeros(3))
    y = m.tensor((1, 3), np.int8, 1.0, 0)
    m.op("FULLY_CONNECTED", [x, w, b], [y], "FullyConnectedOptions", **change.get("fields", {}))
    m.interface([x], [y])


def transpose_conv(m: ModelBuilder, **change: Any) -> None:
    """A sound TRANSPOSE_CONV from (1, 2, 2, 1) to (1, 4, 4, 1), but for what `change` says."""
    x = m.tensor((1, 2, 2, 1), np.int8, 0.5, 0)
    w = m.tensor((1, 2, 2, 1), np.int8, 0.5, 0, data=np.ones((1, 2, 2, 1)))
    y = m.tensor((1, 4, 4, 1), np.int8, 1.0, 0)
    shape = m.const(change.get("shape", (1, 4, 4, 1)), change.get("shape_dtype", np.int32))
    stride = change.get("stride", 2)
    m.op("TRANSPOSE_CONV", [shape, w, x], [y], "TransposeConvOptions", strideH=stride, strideW=stride)
    m.interface([x], [y])


def batch_matmul(m: ModelBuilder, **change: Any) -> None:
    """A sound BATCH_MATMUL of (2, 3, 4) and (2, 4, 5), but for what `change` says."""
    x = m.tensor(change.get("x", (2, 3, 4)), change.get("dtype", np.int8), change.get("x_scale", 0.5), 0)
    y = m.tensor(change.get("y", (2, 4, 5)), change.get("dtype", np.int8), change.get("y_scale", 0.5), 0)
    z = m.tensor(change.get("z", (2, 3, 5)), change.get("dtype", np.int8), 1.0, 0)
    m.op("BATCH_MATMUL", [x, y], [z], "BatchMatMulOptions")
    m.interface([x, y], [z])


Build = Callable[..., None]
REFUSALS: tuple[tuple[Build, dict[str, Any], type[ThimbleError], str], ...] = (
    (conv, {"fields": {"strideH": 0}}, MalformedModel, "below 1"),
    (conv, {"fields": {"dilationWFactor": -1}}, MalformedModel, "below 1"),
    (conv, {"fields": {"dilationHFactor": 1 << 30}}, MalformedModel, "window of"),
    (conv, {"weights": (2, 2, 2, 3)}, MalformedModel, "groups"),
    (conv, {"bias": np.zeros(3)}, MalformedModel, "bias of shape"),
    (conv, {"bias": np.full(2, 2**31 - 1)}, UnsupportedOp, "fit the accumulator"),
    (conv, {"bias_dtype": np.int64}, UnsupportedOp, "int32 for int8"),
    (conv, {"weights_zero_point": 1}, UnsupportedOp, "zero point 0"),
    (conv, {"y_scale": 2e-9, "fields": {"fusedActivationFunction": 3}}, UnsupportedOp, "so small"),
    (
        conv,
        {"dtype": np.int16, "bias_dtype": np.int64, "bias": np.full(2, 2**47)},
        UnsupportedOp,
        "fit the accumulator",
    ),
    (conv, {"dtype": np.int16, "bias_dtype": np.int64, "y_scale": 1e-5}, UnsupportedOp, "below 16384"),
    (conv, {"depthwise": True, "fields": {"depthMultiplier": 2}}, MalformedModel, "multiplier of 2"),
    (conv, {"depthwise": True, "fields": {"depthMultiplier": 0}}, MalformedModel, "multiplier of 0"),
    (conv, {"depthwise": True, "dtype": np.int16}, UnsupportedOp, "int64 for int16"),
    (fully_connected, {"x": (1, 5)}, MalformedModel, "do not divide"),
    (fully_connected, {"x": (2, 2), "fields": {"keepNumDims": True}}, MalformedModel, "keeps dimensions"),
    (fully_connected, {"bias_scale": 0.3}, UnsupportedOp, "bias scale"),
    (fully_connected, {"w_scale": [0.5, 0.5, 0.4], "w_zero_point": 1}, UnsupportedOp, "zero points of 0"),
    (fully_connected, {"fields": {"weightsFormat": 1}}, UnsupportedOp, "shuffled"),
    (transpose_conv, {"shape": (1, 4, 5, 1)}, MalformedModel, "another output shape"),
    (transpose_conv, {"stride": 0}, MalformedModel, "below 1"),
    (transpose_conv, {"stride": (1 << 31) - 1}, MalformedModel, "at most"),
    (batch_matmul, {"y": (2, 5, 4)}, MalformedModel, "cannot multiply"),
    (batch_matmul, {"x": (3, 3, 4)}, MalformedModel, "cannot multiply"),
    (batch_matmul, {"x": (4,)}, MalformedModel, "rank 2"),
    (batch_matmul, {"x": (1, 1, 1, 1, 3, 4), "z": (1, 1, 1, 2, 3, 5)}, UnsupportedOp, "5 dimensions"),
    (batch_matmul, {"dtype": np.int16}, UnsupportedOp, "must be int8"),
    (batch_matmul, {"y_scale": [0.5, 0.5]}, UnsupportedOp, "Input 1"),
    (batch_matmul, {"x_scale": 1e30, "y_scale": 1e30}, UnsupportedOp, "within float32"),
    (
        batch_matmul,
        {"x": (1, 1, 140000), "y": (1, 140000, 1), "z": (1, 1, 1)},
        UnsupportedOp,
        "largest possible sum",
    ),
)


@pytest.mark.parametrize(("build", "change", "error", "reason"), REFUSALS)
def test_refusals_say_why(build: Build, change: dict[str, Any], error: type[ThimbleError], reason: str) -> None:
    m = ModelBuilder()
    build(m, **change)
    with pytest.raises(error, match=reason):
        import_tflite(m.build(), "refused")


@pytest.mark.parametrize("build", [conv, fully_connected, transpose_conv, batch_matmul])
def test_what_the_refusals_start_from_is_taken(build: Build) -> None:
    m = ModelBuilder()
    build(m)
    assert len(import_tflite(m.build(), "taken").nodes) == 1
