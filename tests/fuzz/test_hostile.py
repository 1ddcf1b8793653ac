"""Sound models made to cost as much as they can: every stage must bound its own time and memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from tests.fuzz.attempt import ACCEPTED, judge, resident_bytes
from tests.tflite_builder import ModelBuilder

ELEMENTS = 1 << 26  # of the largest tensor that the importer takes
SIDE = 1 << 13
TOO_LARGE, REFUSED = "DoesNotFit", "UnsupportedOp"
WINDOW = {"padding": 0, "strideH": 1, "strideW": 1}
Build = Callable[[], bytes]


def one(
    code: str,
    x_shape: Sequence[int],
    y_shape: Sequence[int],
    options: str | None = None,
    operands: Sequence[np.ndarray] = (),
    quant: tuple[float, int] = (0.1, 0),
    **fields: Any,
) -> Build:
    """A model of one operator; operands of int32 are parameters, those of int8 weights."""

    def build() -> bytes:
        m = ModelBuilder()
        x, y = m.tensor(x_shape, np.int8, 0.1, 0), m.tensor(y_shape, np.int8, *quant)
        more = [m.const(o) if o.dtype == np.int32 else m.tensor(o.shape, np.int8, 0.1, 0, data=o) for o in operands]
        m.op(code, [x, *more], [y], options, **fields)
        m.interface([x], [y])
        return m.build()

    return build


def numbers(*values: Any) -> np.ndarray:
    """An int32 parameter."""
    return np.array(values, np.int32)


def ones(*shape: int) -> np.ndarray:
    """int8 weights."""
    return np.ones(shape, np.int8)


def chain(length: int) -> bytes:
    """So many operators one behind the other."""
    m = ModelBuilder()
    x = m.tensor((4,), np.int8, 0.1, 0)
    last = x
    for _ in range(length):
        given, last = last, m.tensor((4,), np.int8, 0.1, 0)
        m.op("RELU", [given], [last])
    m.interface([x], [last])
    return m.build()


def fan(width: int) -> bytes:
    """So many operators on one input, each an output of the model."""
    m = ModelBuilder()
    x = m.tensor((4,), np.int8, 0.1, 0)
    outputs = [m.tensor((4,), np.int8, 0.1, 0) for _ in range(width)]
    for y in outputs:
        m.op("RELU", [x], [y])
    m.interface([x], outputs)
    return m.build()


def huge_tensors(count: int) -> bytes:
    """So many of the largest tensors, all live at once."""
    m = ModelBuilder()
    inputs, outputs = ([m.tensor((ELEMENTS,), np.int8, 0.1, 0) for _ in range(count)] for _ in range(2))
    for x, y in zip(inputs, outputs, strict=True):
        m.op("RELU", [x], [y])
    m.interface(inputs, outputs)
    return m.build()


def grown_constants(count: int) -> bytes:
    """One element padded to the largest tensor, so many times, each reduced again: folding it would pay nothing."""
    m = ModelBuilder()
    x, z = (m.tensor((4,), np.int8, 0.1, 0) for _ in range(2))
    m.op("RELU", [x], [z])
    outputs = [z]
    for i in range(count):
        seed = m.tensor((1, 1), np.int8, 0.1, 0, data=[[1]])
        large, small = m.tensor((SIDE, SIDE), np.int8, 0.1, 0), m.tensor((1, 1), np.int8, 0.1, 0)
        m.op("PAD", [seed, m.const([[i, SIDE - 1 - i], [SIDE - 1, 0]])], [large], "PadOptions")
        m.op("REDUCE_MAX", [large, m.const([0, 1])], [small], "ReducerOptions", keepDims=True)
        outputs.append(small)
    m.interface([x], outputs)
    return m.build()


def large_window(side: int) -> bytes:
    """A pool whose window is as large as its input, at every pixel of it."""
    return one(
        "MAX_POOL_2D", (1, side, side, 1), (1, side, side, 1), "Pool2DOptions",
        filterHeight=side, filterWidth=side, **WINDOW,
    )()  # fmt: skip


CASES: dict[str, tuple[Build, str]] = {
    "element-wise": (one("RELU", (1, ELEMENTS), (1, ELEMENTS)), TOO_LARGE),
    "softmax": (
        one("SOFTMAX", (ELEMENTS // 64, 64), (ELEMENTS // 64, 64), "SoftmaxOptions", quant=(1 / 256, -128), beta=1.0),
        TOO_LARGE,
    ),
    "tall convolution": (
        one("CONV_2D", (1, ELEMENTS, 1, 1), (1, ELEMENTS, 1, 1), "Conv2DOptions", [ones(1, 3, 3, 1)], **WINDOW),
        TOO_LARGE,
    ),
    "wide depthwise convolution": (
        one(
            "DEPTHWISE_CONV_2D", (1, 1, ELEMENTS, 1), (1, 1, ELEMENTS, 1), "DepthwiseConv2DOptions",
            [ones(1, 3, 3, 1)], **WINDOW, depthMultiplier=1,
        ),
        TOO_LARGE,
    ),
    "many rows": (
        one("FULLY_CONNECTED", (ELEMENTS // 4, 4), (ELEMENTS // 4, 4), "FullyConnectedOptions", [ones(4, 4)]),
        TOO_LARGE,
    ),
    "transpose": (one("TRANSPOSE", (SIDE, SIDE), (SIDE, SIDE), "TransposeOptions", [numbers(1, 0)]), TOO_LARGE),
    "mirrored": (
        one("MIRROR_PAD", (ELEMENTS // 2,), (ELEMENTS,), "MirrorPadOptions", [numbers([0, ELEMENTS // 2])], mode=1),
        TOO_LARGE,
    ),
    "padded": (
        one("PAD", (1, 1), (SIDE, SIDE), "PadOptions", [numbers([0, SIDE - 1], [SIDE - 1, 0])]),
        TOO_LARGE,
    ),
    "stretched": (one("ADD", (SIDE, 1), (SIDE, SIDE), "AddOptions", [ones(1, SIDE)]), TOO_LARGE),
    "resized": (
        one(
            "RESIZE_BILINEAR", (1, 2, 2, 1), (1, ELEMENTS // 2, 2, 1), "ResizeBilinearOptions",
            [numbers(ELEMENTS // 2, 2)],
        ),
        REFUSED,
    ),
    "window of the input's size": (lambda: large_window(700), TOO_LARGE),
    "window of the input's size that fits": (lambda: large_window(500), ACCEPTED),
    "3000 operators in a chain": (lambda: chain(3000), ACCEPTED),
    "300 operators side by side": (lambda: fan(300), ACCEPTED),
    "1000 operators side by side": (lambda: fan(1000), ACCEPTED),
    "twenty of the largest tensors": (lambda: huge_tensors(20), TOO_LARGE),
    "constants that grow": (lambda: grown_constants(20), TOO_LARGE),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_costs_little(name: str) -> None:
    build, outcome = CASES[name]
    model, held = build(), resident_bytes()
    verdict = judge(model)
    assert verdict.outcome == outcome, verdict.detail
    assert verdict.peak_bytes - held < 600 << 20
