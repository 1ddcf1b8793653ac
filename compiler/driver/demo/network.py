"""The network of the shipped model as data: what training builds and what the export writes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["conv", "depthwise"]
Activation = Literal["relu", "relu6"]

IMAGE_SIZE = 28
IMAGE_CHANNELS = 1
CLASSES = 10


@dataclass(frozen=True, slots=True)
class ConvSpec:
    """A square convolution with SAME padding, batch norm and an activation; `depthwise` has multiplier 1."""

    name: str
    kind: Kind
    kernel: int
    stride: int
    channels: int  # of the output
    activation: Activation


@dataclass(frozen=True, slots=True)
class ConvShape:
    """A layer of the network in its place: its specification and the shapes around it."""

    spec: ConvSpec
    in_size: int
    in_channels: int

    @property
    def out_size(self) -> int:
        """Height and width of the output under SAME padding, in pixels."""
        return -(-self.in_size // self.spec.stride)

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros (before, after) in each dimension; SAME puts the odd one after (TensorFlow's `tf.nn` guide)."""
        total = max(0, (self.out_size - 1) * self.spec.stride + self.spec.kernel - self.in_size)
        return total // 2, total - total // 2

    @property
    def macs(self) -> int:
        """Multiply-accumulates, with those that meet padding counted."""
        inputs = 1 if self.spec.kind == "depthwise" else self.in_channels
        return self.out_size**2 * self.spec.channels * inputs * self.spec.kernel**2


def _separable(index: int, in_channels: int, channels: int, stride: int = 1) -> tuple[ConvSpec, ConvSpec]:
    """A depthwise 3x3 and the pointwise that mixes its channels (MobileNet, arXiv:1704.04861, 3.1)."""
    return (
        ConvSpec(f"depthwise_{index}", "depthwise", 3, stride, in_channels, "relu6"),
        ConvSpec(f"pointwise_{index}", "conv", 1, 1, channels, "relu"),
    )


NETWORK: tuple[ConvSpec, ...] = (
    ConvSpec("stem", "conv", 3, 1, 16, "relu6"),
    *_separable(1, 16, 32, stride=2),
    *_separable(2, 32, 48),
    *_separable(3, 48, 64, stride=2),
    *_separable(4, 64, 96),
    *_separable(5, 96, 96),
)


def conv_shapes() -> tuple[ConvShape, ...]:
    """Every convolution of NETWORK with its input size and channels, first to last."""
    shapes = []
    size, channels = IMAGE_SIZE, IMAGE_CHANNELS
    for spec in NETWORK:
        shape = ConvShape(spec, size, channels)
        shapes.append(shape)
        size, channels = shape.out_size, spec.channels
    return tuple(shapes)


def network_macs() -> int:
    """Multiply-accumulates of one inference: convolutions and the classifier (the pool only adds)."""
    return sum(shape.macs for shape in conv_shapes()) + NETWORK[-1].channels * CLASSES
