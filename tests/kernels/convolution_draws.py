"""Random int8 convolutions of the shapes that specialised kernels take, and of those that they must leave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tests.ops.draws import (
    SAME,
    Edges,
    activation_code,
    bias_for,
    output_scale,
    same_or_valid,
    scale,
    weights,
    zero_point,
)
from tests.tflite_builder import ModelBuilder

Rng = np.random.Generator
Shape = tuple[int, int, int, int]

STRIDES = (1, 1, 1, 2, 2, 2, 3, 4)
"""As often as they are drawn."""

THIN_SHARE = 0.15
"""Of the images, those that are no larger than a window along one side, at SAME padding smaller ones too."""


@dataclass(frozen=True, slots=True)
class Window:
    """What slides over an image: height and width of kernel, strides and dilations, and how outputs are counted."""

    kernel: tuple[int, int]
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    edges: Edges = SAME

    @property
    def made(self) -> tuple[tuple[int, int, int], ...]:
        """Kernel, stride and dilation along each side."""
        return tuple(zip(self.kernel, self.strides, self.dilations, strict=True))

    def output(self, image: Sequence[int]) -> tuple[int, int]:
        """Height and width of what is made of an image."""
        height, width = (self.edges[1](size, *one) for size, one in zip(image, self.made, strict=True))
        return height, width

    def fields(self) -> dict[str, int]:
        """Strides and padding as a TFLite file has them."""
        return {"strideH": self.strides[0], "strideW": self.strides[1], "padding": self.edges[0]}


def draw_size(rng: Rng, kernel: int, most: int = 14) -> int:
    """A side of an image on which a kernel has room."""
    return int(rng.integers(kernel, max(kernel + 1, most)))


def draw_image(
    rng: Rng, kernel: tuple[int, int], dilations: tuple[int, int] = (1, 1), most: tuple[int, int] = (14, 14)
) -> tuple[tuple[int, int], Edges]:
    """Height and width of an image below `most`, and its edges; some images are thinner than the windows."""
    reach = [(k - 1) * dilation + 1 for k, dilation in zip(kernel, dilations, strict=True)]
    sizes = [draw_size(rng, window, limit) for window, limit in zip(reach, most, strict=True)]
    if rng.random() < THIN_SHARE:
        side = int(rng.integers(2))
        sizes[side] = int(rng.integers(1, reach[side] + 1))
    edges = same_or_valid(rng)
    fits = all(size >= window for size, window in zip(sizes, reach, strict=True))
    return (sizes[0], sizes[1]), edges if fits else SAME


def scaled_output(rng: Rng, x_scale: float, w_scales: np.ndarray, taps: int) -> float:
    """Mostly scales that use all of int8; some far too large, so that all last shifts occur."""
    spread = output_scale(rng, x_scale, w_scales, taps)
    return spread * float(np.float32(10 ** rng.uniform(0, 3))) if rng.random() < 0.15 else spread


def conv_2d(rng: Rng) -> bytes:
    """Convolution: pointwise, dense, with 1 or 3 input channels, of any stride, padding and number of channels."""
    m = ModelBuilder()
    x, y, _ = _any_convolution(m, rng)
    m.interface([x], [y])
    return m.build()


def conv_2d_add(rng: Rng) -> bytes:
    """The same, and ADD or SUB of its output and another tensor."""
    m = ModelBuilder()
    x, between, shape = _any_convolution(m, rng)
    other = m.tensor(shape, np.int8, m.scale_of(between) * float(np.float32(10 ** rng.uniform(-1, 1))), zero_point(rng))
    operands = [between, other] if rng.random() < 0.5 else [other, between]
    larger = max(m.scale_of(between), m.scale_of(other))
    y = m.tensor(shape, np.int8, larger * float(np.float32(10 ** rng.uniform(-0.3, 0.7))), zero_point(rng))
    operator = str(rng.choice(["ADD", "ADD", "SUB"]))
    options = {"ADD": "AddOptions", "SUB": "SubOptions"}[operator]
    m.op(operator, operands, [y], options, fusedActivationFunction=activation_code(rng))
    m.interface([x, other], [y])
    return m.build()


def _any_convolution(m: ModelBuilder, rng: Rng) -> tuple[int, int, Shape]:
    """Input and output of a convolution that is drawn into a model, and the output's shape."""
    kernel = (1, 1) if rng.random() < 0.4 else _two(rng, 1, 6)
    depth = int(rng.choice([1, 3, 4, 8, 16, 32, int(rng.integers(1, 40))]))
    channels = int(rng.choice([2, 8, 16, int(rng.integers(1, 24))]))
    dilation = int(rng.choice([1, 1, 1, 2]))
    image, edges = draw_image(rng, kernel, (dilation, dilation))
    window = Window(kernel, _strides(rng), (dilation, dilation), edges)
    x, shape = _input(m, rng, (int(rng.choice([1, 1, 2])), *image, depth))
    y, made = _convolution_of(m, rng, x, shape, window, channels)
    return x, y, made


def first_conv_2d(rng: Rng) -> bytes:
    """Convolution of one image with 1 to 3 channels, as first layers are: rows of windows fill words badly."""
    kernel = _two(rng, 2, 6)
    depth, channels = int(rng.choice([1, 2, 3, 3])), int(rng.choice([2, 8, 16, int(rng.integers(2, 24))]))
    dilations = (int(rng.choice([1, 1, 1, 2])), 1)
    image, edges = draw_image(rng, kernel, dilations, (20, 24))
    window = Window(kernel, _strides(rng), dilations, edges)
    return _one_convolution(rng, (1, *image, depth), window, channels)


def pointwise(rng: Rng) -> bytes:
    """Pointwise layer of many pixels and channels, which a compact kernel makes in several portions."""
    return _one_convolution(
        rng, (1, *_two(rng, 9, 20), int(rng.integers(64, 112))), Window((1, 1)), int(rng.integers(2, 12))
    )


def any_pointwise(rng: Rng) -> bytes:
    """Pointwise layer of any size: few pixels or long rows, all numbers of them behind the last four, few channels or
    many."""
    depth = int(rng.choice([2, 4, 8, 16, 32, *_two(rng, 2, 40), *_two(rng, 40, 112)]))
    channels = int(rng.choice([2, 8, 16, int(rng.integers(2, 24)), int(rng.integers(24, 72))]))
    image = (int(rng.integers(1, 7)), int(rng.integers(24, 42))) if rng.random() < 0.3 else _two(rng, 1, 13)
    return _one_convolution(rng, (int(rng.choice([1, 1, 2])), *image, depth), Window((1, 1)), channels)


def last_pointwise(rng: Rng) -> bytes:
    """Pointwise layer of few pixels and many channels, as last ones are: compact kernels make single pixels there.

    One pixel behind the last four pays for the code of that with fewer channels than two.
    """
    image, depth, channels = _two(rng, 1, 8), 4 * int(rng.integers(16, 64)), int(rng.integers(48, 96))
    kind = rng.random()
    if kind < 0.4:
        image = (side := int(rng.choice([1, 3, 5, 7])), side)
    elif kind < 0.8:
        image, depth, channels = (2, int(rng.choice([3, 5, 7]))), 4 * int(rng.integers(48, 64)), channels + 40
    return _one_convolution(rng, (1, *image, depth), Window((1, 1)), channels)


def conv_2d_3x3(rng: Rng) -> bytes:
    """Dense 3x3 convolution of stride 1, mostly without output limits inside int8: what Winograd's tiles take."""
    depth = 4 * int(rng.choice([1, 2, 4, 8, 16, int(rng.integers(1, 20))]))
    channels = int(rng.choice([2, 8, 16, int(rng.integers(2, 24))]))
    image, edges = draw_image(rng, (3, 3), most=(20, 24))
    m = ModelBuilder()
    x, shape = _input(m, rng, (int(rng.choice([1, 1, 2])), *image, depth))
    relu = bool(rng.random() < 0.5)
    point, code = (-128, 1) if relu else (zero_point(rng), 0)
    y, _ = _convolution_of(m, rng, x, shape, Window((3, 3), edges=edges), channels, (point, code))
    m.interface([x], [y])
    return m.build()


def depthwise_conv_2d(rng: Rng) -> bytes:
    """Depthwise convolution of kernels up to 7 x 7, mostly 3 x 3 and 5 x 5."""
    kernel = _kernel(rng)
    channels = int(rng.choice([1, 2, 4, 8, 16, int(rng.integers(1, 40))]))
    image, edges = draw_image(rng, kernel, most=(16, 20))
    if rng.random() < 0.2:  # steps in time
        kernel = int(rng.integers(1, 20)), 1
        image, edges = (draw_size(rng, kernel[0], 30), 1), same_or_valid(rng)
    return _one_depthwise(rng, image, Window(kernel, _depthwise_strides(rng), edges=edges), channels)


def depthwise_3x3(rng: Rng) -> bytes:
    """Depthwise 3 x 3 convolution of rows of all lengths, few channels or many."""
    channels = int(rng.choice([1, 2, 7, 8, 64, int(rng.integers(1, 300))]))
    (height, width), edges = draw_image(rng, (3, 3), most=(16, int(rng.choice([9, 9, 9, 9, 9, 9, 40]))))
    return _one_depthwise(rng, (height, width), Window((3, 3), _depthwise_strides(rng), edges=edges), channels)


def depthwise_steps(rng: Rng) -> bytes:
    """Depthwise convolution over steps in time."""
    taps, stride = int(rng.integers(2, 17)), int(rng.choice(STRIDES))
    window = Window((taps, 1), (stride, stride), edges=same_or_valid(rng))
    return _one_depthwise(rng, (draw_size(rng, taps, 30), 1), window, 4 * int(rng.integers(1, 12)))


def spread_depthwise(rng: Rng) -> bytes:
    """Depthwise convolution of one channel that becomes several, or with windows whose taps lie apart."""
    kernel = _kernel(rng)
    if rng.random() < 0.5:
        image, edges = draw_image(rng, kernel, most=(16, 20))
        window = Window(kernel, _depthwise_strides(rng), edges=edges)
        return _one_depthwise(rng, image, window, 1, multiplier=int(rng.integers(2, 17)))
    dilations = _two(rng, 1, 4)
    image, edges = draw_image(rng, kernel, dilations, (20, 24))
    window = Window(kernel, dilations=dilations, edges=edges)
    return _one_depthwise(rng, image, window, int(rng.integers(1, 24)))


def conv_2d_depthwise(rng: Rng) -> bytes:
    """A pointwise convolution, or one of an image with few channels, and a depthwise one that reads it.

    Mostly of even sizes, so that what lies between is made of whole groups of pixels.
    """
    m = ModelBuilder()
    depth, channels = (int(rng.choice([1, 2, 3, 4, 8, 16, int(rng.integers(1, 40))])) for _ in range(2))
    first = Window((1, 1))
    if rng.random() < 0.4:
        depth, stride = int(rng.integers(1, 4)), int(rng.integers(1, 3))
        first = Window(_two(rng, 1, 6), (stride, stride), edges=same_or_valid(rng))
    kernel = _kernel(rng)
    image, edges = draw_image(rng, kernel, most=(16, 20))
    height, width = (_mostly_even(rng, size) for size in image)
    taken = _taken(first, (height, width))
    x, shape = _input(m, rng, (int(rng.choice([1, 1, 1, 2])), *taken, depth))
    between, made = _convolution_of(m, rng, x, shape, first, channels)
    z = _depthwise_of(m, rng, between, made, Window(kernel, _depthwise_strides(rng), edges=edges))
    m.interface([x], [z])
    return m.build()


def _taken(window: Window, made: tuple[int, int]) -> tuple[int, int]:
    """Height and width of an image of which so much is made."""
    same = window.edges is SAME
    sizes = (
        size * stride if same else (size - 1) * stride + kernel
        for size, (kernel, stride, _) in zip(made, window.made, strict=True)
    )
    height, width = sizes
    return height, width


def _one_convolution(rng: Rng, shape: Shape, window: Window, channels: int) -> bytes:
    """A model of one convolution of an input of this shape."""
    m = ModelBuilder()
    x, _ = _input(m, rng, shape)
    y, _ = _convolution_of(m, rng, x, shape, window, channels)
    m.interface([x], [y])
    return m.build()


def _one_depthwise(rng: Rng, image: tuple[int, int], window: Window, channels: int, multiplier: int = 1) -> bytes:
    """A model of one depthwise convolution of an image of this height and width."""
    m = ModelBuilder()
    x, shape = _input(m, rng, (int(rng.choice([1, 1, 2])), *image, channels))
    y = _depthwise_of(m, rng, x, shape, window, multiplier)
    m.interface([x], [y])
    return m.build()


def _input(m: ModelBuilder, rng: Rng, shape: Shape) -> tuple[int, Shape]:
    return m.tensor(shape, np.int8, scale(rng), zero_point(rng)), shape


def _convolution_of(
    m: ModelBuilder,
    rng: Rng,
    x: int,
    shape: Shape,
    window: Window,
    channels: int,
    limits: tuple[int, int] | None = None,
) -> tuple[int, Shape]:
    """The output of a convolution of a tensor of this shape, which is drawn into a model, and its shape.

    `limits`: its zero point and activation, where they are not drawn.
    """
    w, w_scales = weights(m, rng, (channels, *window.kernel, shape[3]), axis=0)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y_scale = scaled_output(rng, m.scale_of(x), w_scales, window.kernel[0] * window.kernel[1] * shape[3])
    point, activation = limits or (zero_point(rng), activation_code(rng))
    made = (shape[0], *window.output(shape[1:3]), channels)
    y = m.tensor(made, np.int8, y_scale, point)
    m.op(
        "CONV_2D", [x, w, b], [y], "Conv2DOptions", **window.fields(), dilationHFactor=window.dilations[0],
        dilationWFactor=window.dilations[1], fusedActivationFunction=activation,
    )  # fmt: skip
    return y, made


def _depthwise_of(m: ModelBuilder, rng: Rng, x: int, shape: Shape, window: Window, multiplier: int = 1) -> int:
    """The output of a depthwise convolution of a tensor of this shape, which is drawn into a model."""
    channels = shape[3] * multiplier
    w, w_scales = weights(m, rng, (1, *window.kernel, channels), axis=3)
    b = bias_for(m, rng, m.scale_of(x) * w_scales, channels)
    y_scale = scaled_output(rng, m.scale_of(x), w_scales, window.kernel[0] * window.kernel[1])
    y = m.tensor((shape[0], *window.output(shape[1:3]), channels), np.int8, y_scale, zero_point(rng))
    m.op(
        "DEPTHWISE_CONV_2D", [x, w, b], [y], "DepthwiseConv2DOptions", **window.fields(), depthMultiplier=multiplier,
        dilationHFactor=window.dilations[0], dilationWFactor=window.dilations[1],
        fusedActivationFunction=activation_code(rng),
    )  # fmt: skip
    return y


def _two(rng: Rng, low: int, high: int) -> tuple[int, int]:
    """A number for each side, from `low` to one below `high`."""
    return int(rng.integers(low, high)), int(rng.integers(low, high))


def _strides(rng: Rng) -> tuple[int, int]:
    return int(rng.choice(STRIDES)), int(rng.choice(STRIDES))


def _depthwise_strides(rng: Rng) -> tuple[int, int]:
    """Mostly the same along both sides."""
    stride = int(rng.choice(STRIDES))
    return (stride, stride) if rng.random() < 0.8 else _strides(rng)


def _kernel(rng: Rng) -> tuple[int, int]:
    square = int(rng.choice([3, 3, 5, 7, 0]))
    if square:
        return square, square
    if rng.random() < 0.3:  # long ones of one row or column
        taps = int(rng.integers(8, 16))
        return (1, taps) if rng.random() < 0.5 else (taps, 1)
    return _two(rng, 1, 8)


def _mostly_even(rng: Rng, size: int) -> int:
    """Mostly even, often a multiple of four; never less."""
    return -(-size // (unit := int(rng.choice([1, 2, 2, 4, 4])))) * unit
