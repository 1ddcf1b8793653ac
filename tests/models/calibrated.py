"""Builds int8 TFLite networks with random weights whose values spread over int8, layer by layer.

A random network of arbitrary scales saturates or dies out within a few layers, and then equal bytes prove little.
Here every layer runs on one calibration sample as it is added: its weights are scaled channel by channel to a given
spread, as folded batch normalization does, and its output gets the scale and the zero point that hold what came out.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.tflite_builder import ModelBuilder

Float = np.ndarray

SAME, VALID, RELU6 = schema.Padding.SAME, schema.Padding.VALID, schema.ActivationFunctionType.RELU6
NO_ACTIVATION = schema.ActivationFunctionType.NONE
SPREAD = 2.0
"""Standard deviation of a channel before its activation: RELU6 then cuts some values at both ends and not most."""


class CalibratedBuilder:
    """A network under construction; every method that adds a layer gives the index of its output tensor.

    Activations are int8 NHWC of batch 1; windows pad as SAME does. `finish` gives the model file.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._model = ModelBuilder()
        self._real: dict[int, Float] = {}
        self._quant: dict[int, tuple[float, int]] = {}
        self._inputs: list[int] = []

    def input(self, *shape: int, name: str | None = None) -> int:
        """An input; its calibration sample is noise on top of a smooth image, over the whole range."""
        smooth = np.add.outer(np.sin(np.arange(shape[1]) / 7), np.cos(np.arange(shape[2]) / 5))[None, :, :, None]
        real = np.clip(smooth + self._rng.normal(0, 0.7, shape), -3, 3)
        index = self._add(real.astype(np.float32), (-3.0, 3.0), name)
        self._inputs.append(index)
        return index

    def real_input(self, *shape: int) -> int:
        """An input of real numbers, and QUANTIZE behind it."""
        index = self.input(*shape)
        given = self._model.tensor(shape, np.float32)
        self._model.op("QUANTIZE", [given], [index])
        self._inputs[-1] = given
        return index

    def shape(self, tensor: int) -> tuple[int, ...]:
        """The shape of an activation."""
        return self._real[tensor].shape

    def conv(self, x: int, channels: int, kernel: int = 1, stride: int = 1, activation: int = RELU6) -> int:
        """CONV_2D."""
        depth = self.shape(x)[3]
        levels = self._rng.integers(-127, 128, (channels, kernel, kernel, depth))
        sums = _convolve(self._real[x], levels, stride)
        fields = {"padding": SAME, "strideH": stride, "strideW": stride, "dilationHFactor": 1, "dilationWFactor": 1}
        return self._weighted("CONV_2D", "Conv2DOptions", x, levels, sums, 0, activation, **fields)

    def depthwise(self, x: int, kernel: int | tuple[int, int] = 3, stride: int = 1, activation: int = RELU6) -> int:
        """DEPTHWISE_CONV_2D of multiplier 1; `kernel` is its side, or height and width."""
        channels, sides = self.shape(x)[3], (kernel, kernel) if isinstance(kernel, int) else kernel
        levels = self._rng.integers(-127, 128, (1, *sides, channels))
        sums = _convolve_depthwise(self._real[x], levels, stride)
        fields = {"padding": SAME, "strideH": stride, "strideW": stride, "depthMultiplier": 1}
        fields |= {"dilationHFactor": 1, "dilationWFactor": 1}
        return self._weighted("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", x, levels, sums, 3, activation, **fields)

    def steps(self, x: int, taps: int, activation: int = RELU6) -> int:
        """DEPTHWISE_CONV_2D over steps in time, whose windows lie inside of the image, one pixel wide."""
        levels = self._rng.integers(-127, 128, (1, taps, 1, self.shape(x)[3]))
        outputs = self.shape(x)[1] - taps + 1
        sums = sum(self._real[x][:, tap : tap + outputs] * levels[:, tap] for tap in range(taps))
        fields = {"padding": VALID, "strideH": 1, "strideW": 1, "depthMultiplier": 1}
        fields |= {"dilationHFactor": 1, "dilationWFactor": 1}
        return self._weighted("DEPTHWISE_CONV_2D", "DepthwiseConv2DOptions", x, levels, sums, 3, activation, **fields)

    def connected(self, x: int, units: int, activation: int = NO_ACTIVATION) -> int:
        """FULLY_CONNECTED over all values of x; the output is (1, units)."""
        flat = self._real[x].reshape(1, -1)
        levels = self._rng.integers(-127, 128, (units, flat.shape[1]))
        return self._weighted("FULLY_CONNECTED", "FullyConnectedOptions", x, levels, flat @ levels.T, 0, activation)

    def matmul(self, a: int, b: int, adjoint: bool = False) -> int:
        """BATCH_MATMUL; `adjoint`: the second matrices are stored the other way round."""
        real = self._real[a] @ (self._real[b].swapaxes(-1, -2) if adjoint else self._real[b])
        y = self._add(real)
        self._model.op("BATCH_MATMUL", [a, b], [y], "BatchMatMulOptions", adjX=False, adjY=adjoint)
        return y

    def add(self, a: int, b: int) -> int:
        """ADD."""
        return self._binary("ADD", "AddOptions", a, b, self._real[a] + self._real[b])

    def multiply(self, a: int, b: int) -> int:
        """MUL, one operand stretched where it has dimensions of 1."""
        return self._binary("MUL", "MulOptions", a, b, self._real[a] * self._real[b])

    def mean(self, x: int, keep_dims: bool = False) -> int:
        """MEAN over height and width."""
        y = self._add(self._real[x].mean((1, 2), keepdims=keep_dims))
        self._model.op("MEAN", [x, self._model.const([1, 2])], [y], "ReducerOptions", keepDims=keep_dims)
        return y

    def logistic(self, x: int) -> int:
        """LOGISTIC, a lookup table in int8: the gate of squeeze-and-excite blocks."""
        y = self._keep(1 / (1 + np.exp(-self._real[x])), 1 / 256, -128)
        self._model.op("LOGISTIC", [x], [y])
        return y

    def max_pool(self, x: int) -> int:
        """MAX_POOL_2D, 2 x 2, stride 2; height and width must be even."""
        _, height, width, channels = self.shape(x)
        real = self._real[x].reshape(1, height // 2, 2, width // 2, 2, channels).max((2, 4))
        y = self._keep(real, *self._quant[x])
        fields = {"padding": SAME, "strideH": 2, "strideW": 2, "filterHeight": 2, "filterWidth": 2}
        self._model.op("MAX_POOL_2D", [x], [y], "Pool2DOptions", **fields)
        return y

    def average_pool(self, x: int) -> int:
        """AVERAGE_POOL_2D over the whole image: (1, 1, 1, channels)."""
        _, height, width, _ = self.shape(x)
        y = self._keep(self._real[x].mean((1, 2), keepdims=True), *self._quant[x])
        fields = {"padding": schema.Padding.VALID, "strideH": height, "strideW": width}
        fields |= {"filterHeight": height, "filterWidth": width}
        self._model.op("AVERAGE_POOL_2D", [x], [y], "Pool2DOptions", **fields)
        return y

    def softmax(self, x: int) -> int:
        """SOFTMAX over the last dimension."""
        powers = np.exp(self._real[x] - self._real[x].max(-1, keepdims=True))
        y = self._keep(powers / powers.sum(-1, keepdims=True), 1 / 256, -128)
        self._model.op("SOFTMAX", [x], [y], "SoftmaxOptions", beta=1.0)
        return y

    def double(self, x: int) -> int:
        """RESIZE_NEAREST_NEIGHBOR to twice the height and width."""
        _, height, width, _ = self.shape(x)
        y = self._keep(self._real[x].repeat(2, 1).repeat(2, 2), *self._quant[x])
        size = self._model.const([2 * height, 2 * width])
        self._model.op("RESIZE_NEAREST_NEIGHBOR", [x, size], [y], "ResizeNearestNeighborOptions")
        return y

    def concatenate(self, a: int, b: int) -> int:
        """CONCATENATION along the channels of two tensors of one quantization, as all have that come out of RELU6."""
        assert self._quant[a] == self._quant[b]
        real = np.concatenate([self._real[a], self._real[b]], 3)
        y = self._keep(real, *self._quant[a])
        self._model.op("CONCATENATION", [a, b], [y], "ConcatenationOptions", axis=3)
        return y

    def reshape(self, x: int, *shape: int) -> int:
        """RESHAPE."""
        y = self._keep(self._real[x].reshape(shape), *self._quant[x])
        self._model.op("RESHAPE", [x, self._model.const(shape)], [y], "ReshapeOptions", newShape=list(shape))
        return y

    def finish(self, *outputs: int) -> bytes:
        """The model file."""
        self._model.interface(self._inputs, list(outputs))
        return self._model.build()

    def _binary(self, code: str, options: str, a: int, b: int, real: Float) -> int:
        y = self._add(real)
        self._model.op(code, [a, b], [y], options, fusedActivationFunction=NO_ACTIVATION)
        return y

    def _weighted(
        self, code: str, options: str, x: int, levels: Float, sums: Float, axis: int, activation: int, **fields: int
    ) -> int:
        """A layer of weights: `sums` are its real inputs times `levels`, channels last, which get scale and bias."""
        channels = sums.shape[-1]
        flat = sums.reshape(-1, channels)
        alone = len(flat) == 1  # one pixel: it has no spread, that of all channels must do
        mean, deviation = (0 * flat[0], np.full(channels, flat.std())) if alone else (flat.mean(0), flat.std(0))
        scales = (SPREAD / np.maximum(deviation, 1e-3)).astype(np.float32)
        products = scales * np.float32(self._quant[x][0])
        shift = self._rng.uniform(0, 3, channels) if activation == RELU6 else self._rng.normal(0, 1, channels)
        bias = np.round((shift - mean * scales) / products).astype(np.int32)
        w = self._model.tensor(levels.shape, np.int8, scales, axis=axis, data=levels)
        b = self._model.tensor((channels,), np.int32, products, data=bias)
        real = sums * scales + bias * products
        bounds = (-4 * SPREAD, 4 * SPREAD) if alone else None
        y = self._keep(np.clip(real, 0, 6), 6 / 255, -128) if activation == RELU6 else self._add(real, bounds)
        self._model.op(code, [x, w, b], [y], options, fusedActivationFunction=activation, **fields)
        return y

    def _add(self, real: Float, bounds: tuple[float, float] | None = None, name: str | None = None) -> int:
        """An activation, quantized to hold all of its calibration values (or `bounds`) and zero."""
        low, high = bounds or (min(float(real.min()), 0.0), max(float(real.max()), 0.0))
        scale = float(np.float32(max(high - low, 1e-6) / 255))
        return self._keep(real, scale, int(np.clip(round(-128 - low / scale), -128, 127)), name)

    def _keep(self, real: Float, scale: float, zero_point: int, name: str | None = None) -> int:
        """An activation of a given quantization; its calibration values are rounded to it, as the firmware does."""
        scale = float(np.float32(scale))
        levels = np.clip(np.round(real / scale) + zero_point, -128, 127)
        index = self._model.tensor(real.shape, np.int8, scale, zero_point, name=name)
        self._real[index] = ((levels - zero_point) * scale).astype(np.float32)
        self._quant[index] = (scale, zero_point)
        return index


def _padded(x: Float, kernel: Sequence[int], stride: int) -> tuple[Float, int, int]:
    """x (1, H, W, C) with the zeros that SAME pads, and the output's height and width."""
    sides, outputs = [], []
    for size, taps in zip(x.shape[1:3], kernel, strict=True):
        made = -(-size // stride)
        missing = max((made - 1) * stride + taps - size, 0)
        sides.append((missing // 2, missing - missing // 2))
        outputs.append(made)
    return np.pad(x, ((0, 0), *sides, (0, 0))), outputs[0], outputs[1]


def _taps(x: Float, kernel: Sequence[int], stride: int) -> Sequence[tuple[int, int, Float]]:
    """Row and column of each tap of a window, with the inputs (H, W, C) that lie under it."""
    padded, height, width = _padded(x, kernel, stride)
    rows, columns = stride * (height - 1) + 1, stride * (width - 1) + 1
    return [
        (i, j, padded[0, i : i + rows : stride, j : j + columns : stride])
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]


def _convolve(x: Float, weights: Float, stride: int) -> Float:
    """x (1, H, W, C) by weights (O, K, K, C): (1, H', W', O)."""
    real = weights.astype(np.float32)
    return sum(part @ real[:, i, j].T for i, j, part in _taps(x, weights.shape[1:3], stride))[None]


def _convolve_depthwise(x: Float, weights: Float, stride: int) -> Float:
    """x (1, H, W, C) by weights (1, K, K, C): (1, H', W', C)."""
    real = weights.astype(np.float32)
    return sum(part * real[0, i, j] for i, j, part in _taps(x, weights.shape[1:3], stride))[None]
