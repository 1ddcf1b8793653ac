"""Random networks whose layers the cost model is fitted to: shapes as small models have them, none of a real one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tests.models.calibrated import NO_ACTIVATION, RELU6, CalibratedBuilder

Rng = np.random.Generator


def _channels(rng: Rng, most: int) -> int:
    """Mostly multiples of 8."""
    return int(8 * rng.integers(1, most // 8 + 1)) if rng.random() < 0.8 else int(4 * rng.integers(1, most // 4 + 1))


def _pooled(g: CalibratedBuilder, x: int, rng: Rng) -> int:
    """The means of all channels, by either operator."""
    return g.mean(x) if rng.random() < 0.5 else g.average_pool(x)


def mobile(rng: Rng, seed: int) -> bytes:
    """A stem and inverted residual blocks or depthwise-separable layers."""
    g = CalibratedBuilder(seed)
    size = int(rng.integers(20, 64))
    x = g.conv(g.input(1, size, size, int(rng.choice([1, 3]))), _channels(rng, 24), 3, 2)
    for _ in range(5):
        channels, inner = g.shape(x)[3], x
        if rng.random() < 0.6:
            inner = g.conv(x, min(channels * int(rng.integers(2, 7)), 192))
        kernel = int(rng.choice([3, 3, 3, 5, 7]))
        stride = 2 if rng.random() < 0.4 and g.shape(x)[1] > 3 else 1
        inner = g.depthwise(inner, kernel, stride)
        made = channels if stride == 1 and rng.random() < 0.5 else _channels(rng, 96)
        activation = int(rng.choice([NO_ACTIVATION, RELU6]))
        projected = g.conv(inner, made, activation=activation)
        x = g.add(x, projected) if g.shape(projected) == g.shape(x) else projected
    return g.finish(g.softmax(g.connected(_pooled(g, x, rng), int(rng.integers(2, 100)))))


def residual(rng: Rng, seed: int) -> bytes:
    """Blocks of dense convolutions, some with strides and a pointwise shortcut."""
    g = CalibratedBuilder(seed)
    size = int(rng.integers(10, 33))
    x = g.conv(g.input(1, size, size, 3), _channels(rng, 24), int(rng.choice([3, 5])))
    for _ in range(2):
        made, stride = _channels(rng, 64), int(rng.integers(1, 3))
        kernel = int(rng.choice([3, 3, 3, 5])) if g.shape(x)[3] < 32 else 3
        main = g.conv(g.conv(x, made, kernel, stride), made, 3, activation=NO_ACTIVATION)
        x = g.add(g.conv(x, made, 1, stride, activation=NO_ACTIVATION), main)
    if g.shape(x)[1] % 2 == 0 and g.shape(x)[2] % 2 == 0:
        x = g.max_pool(x)
    return g.finish(g.softmax(g.connected(_pooled(g, x, rng) if rng.random() < 0.5 else x, int(rng.integers(2, 32)))))


def spoken(rng: Rng, seed: int) -> bytes:
    """Spectra: a wide first layer, then depthwise-separable layers on narrow images."""
    g = CalibratedBuilder(seed)
    height, width = int(rng.integers(20, 60)), int(rng.integers(4, 24))
    x = g.conv(g.input(1, height, width, 1), _channels(rng, 64), int(rng.integers(3, 9)), 2)
    for _ in range(4):
        x = g.depthwise(x, int(rng.choice([3, 3, 5])))
        x = g.conv(x, _channels(rng, 96) if rng.random() < 0.5 else g.shape(x)[3])
    return g.finish(g.connected(g.logistic(_pooled(g, x, rng)), int(rng.integers(2, 40))))


def connected(rng: Rng, seed: int) -> bytes:
    """Fully connected layers."""
    g = CalibratedBuilder(seed)
    x = g.input(1, 1, 1, int(rng.integers(16, 640)))
    for _ in range(6):
        x = g.connected(x, int(rng.choice([8, 16, 32, 64, 128, 200, int(rng.integers(2, 300))])), RELU6)
    return g.finish(g.connected(x, int(rng.integers(2, 640))))


def attention(rng: Rng, seed: int) -> bytes:
    """Attention of some heads: tokens by tokens, softmax, and tokens by values, twice."""
    g = CalibratedBuilder(seed)
    heads, tokens, depth = int(rng.integers(1, 4)), int(rng.integers(4, 40)), 4 * int(rng.integers(2, 13))
    x = g.input(1, tokens, 1, heads * depth)
    for _ in range(2):
        query, key, value = (g.reshape(g.conv(x, heads * depth), heads, tokens, depth) for _ in range(3))
        mixed = g.matmul(g.softmax(g.matmul(query, key, adjoint=True)), value)
        x = g.reshape(mixed, 1, tokens, 1, heads * depth)
    return g.finish(x)


def pooled(rng: Rng, seed: int) -> bytes:
    """Pools and means of one image."""
    g = CalibratedBuilder(seed)
    height, width = (2 * int(n) for n in rng.integers(2, 13, 2))
    x = g.input(1, height, width, _channels(rng, 64))
    most = g.max_pool(x)
    return g.finish(g.average_pool(x), g.mean(x), g.mean(most), g.average_pool(most))


def depthwise(rng: Rng, seed: int) -> bytes:
    """Depthwise layers one behind the other: on images, on narrow ones, and on steps in time, one pixel wide."""
    g = CalibratedBuilder(seed)
    height, narrow, wide = (int(rng.integers(low, high)) for low, high in ((8, 48), (2, 6), (6, 48)))
    width = (1, 1, narrow, wide, wide, wide, narrow, wide)[seed % 8]
    activation = RELU6 if seed in DEPTHWISE_NETWORKS[:8] else NO_ACTIVATION
    x = g.input(1, height, width, _channels(rng, 128 if width < 6 else 48))
    for _ in range(6):
        side = int(rng.choice([3, 3, 5, 7]))
        tall = min(int(rng.integers(3, 18)), g.shape(x)[1])
        stride = 2 if rng.random() < 0.3 and width > 1 and g.shape(x)[1] > 5 else 1
        x = g.depthwise(x, (tall, 1) if width == 1 else side, stride, activation)
    return g.finish(x)


def steps(rng: Rng, seed: int) -> bytes:
    """Depthwise-separable layers over steps in time, without borders, as wake words have them."""
    g = CalibratedBuilder(seed)
    x = g.input(1, int(rng.integers(40, 60)), 1, _channels(rng, 64))
    for _ in range(4):
        x = g.steps(x, int(rng.integers(2, 13)), RELU6 if rng.random() < 0.5 else NO_ACTIVATION)
        x = g.conv(x, _channels(rng, 128))
    return g.finish(g.connected(_pooled(g, x, rng), 2))


def pruned(rng: Rng, seed: int) -> bytes:
    """Depthwise-separable layers as pruning leaves them: any number of channels, few pixels, two classes."""
    g = CalibratedBuilder(seed)
    size = int(rng.integers(4, 13))
    x = g.conv(g.input(1, size, size, 3), int(rng.integers(5, 40)), 3)
    for _ in range(4):
        x = g.depthwise(x, 3, 2 if rng.random() < 0.2 and g.shape(x)[1] > 5 else 1)
        x = g.conv(x, int(rng.integers(5, 100)))
    return g.finish(g.softmax(g.connected(_pooled(g, x, rng), 2)))


def converted(rng: Rng, seed: int) -> bytes:
    """Inputs of real numbers."""
    g = CalibratedBuilder(seed)
    size = int(rng.integers(8, 32))
    x = g.real_input(1, size, size, int(rng.choice([1, 3, 8])))
    return g.finish(g.conv(x, 4))


FAMILIES: tuple[Callable[[Rng, int], bytes], ...] = (mobile, residual, spoken, connected)


ATTENTION_NETWORKS, POOLED_NETWORKS = range(1000, 1004), range(1100, 1108)
DEPTHWISE_NETWORKS, CONVERTED_NETWORKS = range(1200, 1212), range(1300, 1307)
PRUNED_NETWORKS, STEPS_NETWORKS = range(1400, 1404), range(1500, 1505)
"""Numbers of networks of kinds that the families have too few of."""


def network(number: int) -> bytes:
    """The model file of a random network, the same every time."""
    rng = np.random.default_rng(1000 + number)
    if number in ATTENTION_NETWORKS:
        return attention(rng, number)
    if number in POOLED_NETWORKS:
        return pooled(rng, number)
    if number in DEPTHWISE_NETWORKS:
        return depthwise(rng, number)
    if number in PRUNED_NETWORKS:
        return pruned(rng, number)
    if number in STEPS_NETWORKS:
        return steps(rng, number)
    if number in CONVERTED_NETWORKS:
        return converted(rng, number)
    return FAMILIES[number % len(FAMILIES)](rng, number)
