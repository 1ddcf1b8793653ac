"""Small networks whose branches make schedules hard: squeeze-and-excite blocks and a U-Net."""

from __future__ import annotations

from tests.models.calibrated import NO_ACTIVATION, RELU6, CalibratedBuilder


def build_squeeze_excite(size: int = 32, seed: int = 0, connected: bool = True) -> bytes:
    """Two blocks as MobileNetV3 has them; input (1, size, size, 3) int8, output (1, 10) int8.

    Expand, depthwise, a gate of the mean over all pixels (two FULLY_CONNECTED or, where `connected` is False, two
    1 x 1 convolutions, then LOGISTIC), MUL, project, residual ADD: the gate needs the last row before the first is
    used. `size` must be even.
    """
    g = CalibratedBuilder(seed)
    x = g.conv(g.input(1, size, size, 3, name="image"), 8, 3, 2)
    for channels in (8, 12):
        inner = g.depthwise(g.conv(x, 3 * g.shape(x)[3]), 5)
        projected = g.conv(_excite(g, inner, connected), channels, activation=NO_ACTIVATION)
        x = g.add(x, projected) if g.shape(x) == g.shape(projected) else projected
    return g.finish(g.connected(g.mean(x), 10))


def _excite(g: CalibratedBuilder, x: int, connected: bool) -> int:
    """x times the gate of its means, one for each channel."""
    channels = g.shape(x)[3]
    if connected:
        gate = g.reshape(
            g.logistic(g.connected(g.connected(g.mean(x), channels // 4, RELU6), channels)), 1, 1, channels
        )
    else:
        gate = g.logistic(g.conv(g.conv(g.mean(x, keep_dims=True), channels // 4), channels, activation=NO_ACTIVATION))
    return g.multiply(x, gate)


def build_u_net(size: int = 32, depth: int = 3, seed: int = 0) -> bytes:
    """An encoder, a decoder and concatenations between: input (1, size, size, 3) int8, output of the size with 4 maps.

    `size` must be a multiple of 2 ** depth. The skips are as large as the maps at both of their ends and live long.
    """
    g = CalibratedBuilder(seed)
    x, skips = g.input(1, size, size, 3, name="image"), []
    for level in range(depth):
        x = g.conv(x, 8 << level, 3)
        skips.append(x)
        x = g.max_pool(x)
    x = g.conv(x, 8 << depth, 3)
    for level in reversed(range(depth)):
        x = g.conv(g.concatenate(g.double(x), skips[level]), 8 << level, 3)
    return g.finish(g.conv(x, 4, activation=NO_ACTIVATION))
