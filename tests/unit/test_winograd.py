"""Winograd's transforms over integers, and which layers get them."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.models.calibrated import NO_ACTIVATION, CalibratedBuilder
from tests.tflite_builder import ModelBuilder
from thimble.codegen.armv7em.core import Core
from thimble.codegen.armv7em.select import specialise
from thimble.codegen.armv7em.winograd import INVERSE_OF_9, OUTPUT_BITS
from thimble.codegen.armv7em.winograd_layer import G, winograd_bytes, winograd_limit
from thimble.codegen.kernels import KernelSettings, kernels_by_limit
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import KernelCall, Rounding
from thimble.compiler.plan.call_shape import CallShape, NodeSize
from thimble.compiler.plan.cycles import cycle_model
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.targets.model import load_target

B = np.array(
    [[4, 0, -5, 0, 1, 0], [0, -4, -4, 1, 1, 0], [0, 4, -4, -1, 1, 0],
     [0, -2, -1, 2, 1, 0], [0, 2, -1, -2, 1, 0], [0, 4, 0, -5, 0, 1]], np.int64,
)  # fmt: skip
A = np.array([[2, -4, -4, 1, 1, 0], [0, -2, 2, 1, -1, 0], [0, -1, -1, 1, 1, 0], [0, -1, 1, 2, -2, 2]], np.int64)
"""The transforms of winograd.py's docstring."""


def test_transforms_give_64_times_the_sums_modulo_2_to_the_32() -> None:
    rng = np.random.default_rng(0)
    for high in (255, 1):
        x = high * rng.integers(0, 255 // high + 1, (6, 6))
        w = rng.integers(-128, 128, (3, 3))
        wanted = np.array([[(x[i : i + 3, j : j + 3] * w).sum() for j in range(4)] for i in range(4)])
        made = A @ ((B @ x @ B.T) * (G @ w @ G.T)) @ A.T
        factors = INVERSE_OF_9 * 2 ** (np.array(OUTPUT_BITS)[:, None] + np.array(OUTPUT_BITS))
        assert ((made * factors - 64 * wanted) % 2**32 == 0).all()


def test_no_lane_leaves_16_bits() -> None:
    for one, other in itertools.product(B, repeat=2):
        factors = np.outer(one, other)
        assert 255 * np.maximum(factors, 0).sum() < 1 << 15
        assert -255 * np.minimum(factors, 0).sum() <= 1 << 15
    assert 128 * np.abs(G).sum(axis=1).max() ** 2 < 1 << 15


def _layers(*channels: int, kernel: int = 3, bias: int = 0, activation: int = 0, zero_point: int = 0) -> Graph:
    """Convolutions of 8x8 images one behind the other."""
    m = ModelBuilder()
    first = x = m.tensor((1, 8, 8, 8), np.int8, 0.5, zero_point)
    for depth, made in itertools.pairwise((8, *channels)):
        shape = (made, kernel, kernel, depth)
        w = m.tensor(shape, np.int8, 0.01, 0, data=np.ones(shape, np.int8))
        b = m.tensor((made,), np.int32, 0.005, 0, data=np.full(made, bias, np.int32))
        y = m.tensor((1, 8, 8, made), np.int8, 0.5, zero_point)
        m.op(
            "CONV_2D", [x, w, b], [y], "Conv2DOptions", strideH=1, strideW=1, padding=0,
            dilationHFactor=1, dilationWFactor=1, fusedActivationFunction=activation,
        )  # fmt: skip
        x = y
    m.interface([first], [x])
    return import_tflite(m.build(), "layers")


def _call(graph: Graph, core: Core, limit: int | None = None, whole: bool = True) -> KernelCall | None:
    site = graph.sites[0]
    (plain,) = site.op.lower(site, Rounding.TFLM)
    return specialise(site, plain, whole, core, limit)


ENOUGH = Core(True, winograd_bytes=1 << 20)


@pytest.mark.parametrize(
    ("graph", "core", "limit", "whole", "wanted"),
    [
        (_layers(8), ENOUGH, None, True, True),
        (_layers(8), Core(True), None, True, False),  # no flash
        (_layers(8), ENOUGH, 2048, True, False),  # no batch fits the scratch
        (_layers(8), ENOUGH, None, False, False),  # by rows
        (_layers(8, kernel=1), ENOUGH, None, True, False),
        (_layers(8, bias=1 << 26), ENOUGH, None, True, False),  # 64 times the sum leaves 32 bits
        (_layers(8, activation=1, zero_point=3), ENOUGH, None, True, False),  # output limits inside int8
        (_layers(8, activation=1, zero_point=-128), ENOUGH, None, True, True),
    ],
)
def test_layers_are_transformed_where_all_preconditions_hold(
    graph: Graph, core: Core, limit: int | None, whole: bool, wanted: bool
) -> None:
    call = _call(graph, core, limit, whole)
    assert call is not None
    assert call.kernel.startswith("conv_2d_winograd_dsp") == wanted
    assert limit is None or call.scratch_bytes <= limit


@pytest.mark.parametrize(
    "chip",
    ["stm32l4r5zi", "nrf52840", "stm32f411re", "stm32h743zi", "stm32f746zg", "stm32u575zi", "nrf5340"],
)
@pytest.mark.parametrize(("side", "channels"), [(32, 16), (16, 32), (8, 64)])
def test_every_chip_prices_transformed_weights_as_the_fastest(chip: str, side: int, channels: int) -> None:
    g = CalibratedBuilder(side)
    x = g.conv(g.input(1, side, side, channels), channels, 3, activation=NO_ACTIVATION)
    graph = import_tflite(g.finish(x), "layer")
    target, model, site = load_target(chip), cycle_model(chip), graph.sites[0]
    prices = {}
    for _, calls in kernels_by_limit(site, target, Rounding.TFLM, False, KernelSettings(winograd_bytes=1 << 20)):
        work = NodeWork(NodeSize.of(site), tuple(CallShape.of(call, False) for call in calls))
        prices[calls[0].kernel] = model.cycles(work)
    fastest = min(prices, key=prices.__getitem__)
    assert fastest.startswith("conv_2d_winograd_dsp")
    direct = min(cycles for kernel, cycles in prices.items() if not kernel.startswith("conv_2d_winograd_dsp"))
    assert prices[fastest] < 0.8 * direct


def test_small_layers_get_the_flash_first() -> None:
    graph = _layers(16, 8, 32)
    sizes = [winograd_bytes(site) for site in graph.sites]
    assert sizes == [8 * 4 * (36 * 8 + 8), 4 * 4 * (36 * 16 + 8), 16 * 4 * (36 * 8 + 8)]
    least, middle, most = sorted(sizes)
    assert winograd_limit(graph, least - 1) == 0
    assert winograd_limit(graph, least) == least
    assert winograd_limit(graph, least + middle + most - 1) == middle
    assert winograd_limit(graph, least + middle + most) == most


def test_the_table_of_a_layer_is_what_it_was_said_to_take() -> None:
    graph = _layers(7)
    call = _call(graph, ENOUGH)
    assert call is not None
    (table,) = [argument for argument in call.arguments if hasattr(argument, "data")]
    assert table.data.nbytes == winograd_bytes(graph.sites[0])
