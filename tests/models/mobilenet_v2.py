"""Networks of inverted residual blocks (MobileNetV2, MCUNet) with random weights: build_network(MOBILENET_V2, seed)."""

from __future__ import annotations

from dataclasses import dataclass

from tests.models.calibrated import NO_ACTIVATION, CalibratedBuilder


@dataclass(frozen=True, slots=True)
class Block:
    """Expand to `expanded` channels (0: no expansion), depthwise kernel x kernel, project to `channels`."""

    expanded: int
    kernel: int
    stride: int
    channels: int


@dataclass(frozen=True, slots=True)
class Network:
    """A stem convolution 3 x 3 of stride 2, blocks, a last pointwise convolution (0: none), mean, fully connected."""

    size: int
    stem: int
    blocks: tuple[Block, ...]
    last: int
    classes: int


STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, repeats and first stride of MobileNetV2's stages (Sandler et al. 2018, table 2)."""


def _divisible(channels: float) -> int:
    """Channels rounded to a multiple of 8, never by more than 10% down, as the reference MobileNet code does."""
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def mobilenet_v2(width: float, size: int, classes: int) -> Network:
    """MobileNetV2 at a width and an image size, channels in multiples of 8; the last layer keeps 1280 channels."""
    blocks, given = [], _divisible(32 * width)
    stem = given
    for expansion, base, repeats, first in STAGES:
        for number in range(repeats):
            made = _divisible(base * width)
            blocks.append(Block(given * expansion if expansion > 1 else 0, 3, 1 if number else first, made))
            given = made
    return Network(size, stem, tuple(blocks), 1280, classes)


def mobilenet_v2_of_msf_cnn(width: float, size: int, classes: int) -> Network:
    """MobileNetV2 as msf-CNN counts it: channels cut to whole numbers, an expansion in the first block too."""
    blocks, given = [], int(32 * width)
    stem = given
    for expansion, base, repeats, first in STAGES:
        for number in range(repeats):
            made = int(base * width)
            blocks.append(Block(given * expansion, 3, 1 if number else first, made))
            given = made
    return Network(size, stem, tuple(blocks), int(1280 * width), classes)


def _mcunet(size: int, classes: int, *rows: tuple[int, int, int, int]) -> Network:
    """MCUNet: rows of (expansion, kernel, stride, channels) behind a stem of 16 and a first block of 8."""
    blocks, given = [Block(0, 3, 1, 8)], 8
    for expansion, kernel, stride, made in rows:
        blocks.append(Block(given * expansion, kernel, stride, made))
        given = made
    return Network(size, 16, tuple(blocks), 0, classes)


# Ten classes where the originals have two: more bytes to compare, and no other layer changes.
MOBILENET_V2 = mobilenet_v2(1.0, 224, 1000)
MOBILENET_V2_SMALL = mobilenet_v2_of_msf_cnn(0.35, 144, 10)
"""The MobileNetV2 of width 0.35 at 144 of the published comparisons: 194,400 bytes layer by layer."""

_VWW_ROWS = (
    *((6, 3, 2, 16), (3, 3, 1, 16), (3, 3, 1, 16), (3, 7, 2, 24), (6, 3, 1, 24), (5, 5, 1, 24), (6, 7, 2, 40)),
    *((6, 7, 1, 40), (6, 3, 1, 48), (4, 3, 1, 48), (5, 5, 2, 96), (5, 3, 1, 96), (4, 3, 1, 96), (3, 7, 1, 160)),
)
_IMAGENET_ROWS = (
    *((3, 7, 2, 16), (5, 3, 1, 16), (5, 7, 1, 16), (4, 5, 1, 16), (5, 5, 2, 24), (5, 5, 1, 24), (5, 5, 1, 24)),
    *((5, 3, 2, 40), (6, 7, 1, 40), (4, 5, 1, 40), (5, 5, 1, 48), (5, 7, 1, 48), (5, 3, 1, 48), (6, 3, 2, 96)),
    *((5, 7, 1, 96), (4, 3, 1, 96), (5, 7, 1, 160)),
)
MCUNET_VWW = _mcunet(80, 10, *_VWW_ROWS)
MCUNET_320K = _mcunet(176, 1000, *_IMAGENET_ROWS)


def build_network(network: Network, seed: int = 0) -> bytes:
    """The model file: input (1, size, size, 3) int8, output (1, classes) int8, weights drawn from `seed`.

    Blocks of stride 1 that keep the channels end in a residual ADD.
    """
    g = CalibratedBuilder(seed)
    x = g.conv(g.input(1, network.size, network.size, 3, name="image"), network.stem, 3, 2)
    for block in network.blocks:
        expanded = g.conv(x, block.expanded) if block.expanded else x
        inner = g.depthwise(expanded, block.kernel, block.stride)
        y = g.conv(inner, block.channels, activation=NO_ACTIVATION)
        x = g.add(x, y) if g.shape(x) == g.shape(y) else y
    if network.last:
        x = g.conv(x, network.last)
    return g.finish(g.connected(g.mean(x), network.classes))
