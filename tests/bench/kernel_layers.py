"""Single layers whose cycles are recorded: a few of each family, small enough for every chip, all in one firmware."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from tests.models.calibrated import NO_ACTIVATION, CalibratedBuilder
from thimble.codegen.armv7em.core import core_of
from thimble.codegen.kernels import KernelSettings, choose_kernels
from thimble.compiler.driver.build_folder import import_model
from thimble.compiler.driver.layer_bench import measure_graph
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.targets.model import load_target
from thimble.targets.sim.simulate import RTL

TARGETS = ("stm32l4r5zi", "stm32h743zi", "mps3-an547", "stm32f207zg", "stm32g0b1re", "ibex")
"""A chip of each set of instructions that has kernels of its own."""

TRANSFORMED_BYTES = 1 << 20
"""Flash that transformed weights may take in the firmware that measures them."""

Layer = Callable[[CalibratedBuilder], int]


@dataclass(frozen=True, slots=True)
class LayerCycles:
    """A layer of a family on a chip: its kernel, multiply-accumulates and simulated cycles."""

    family: str
    kernel: str
    macs: int
    cycles: int


def _image(height: int, width: int, channels: int, layer: Callable[[CalibratedBuilder, int], int]) -> Layer:
    return lambda g: layer(g, g.input(1, height, width, channels))


def _matrices(g: CalibratedBuilder, count: int, rows: int, depth: int) -> tuple[int, int]:
    return g.input(1, count, rows, depth), g.input(1, count, rows, depth)


LAYERS: dict[str, tuple[str, Layer]] = {
    "pointwise 64 -> 64, 25x5": ("pointwise", _image(25, 5, 64, lambda g, x: g.conv(x, 64))),
    "pointwise 16 -> 32, 12x12": ("pointwise", _image(12, 12, 16, lambda g, x: g.conv(x, 32))),
    "pointwise 8 -> 16, 24x24": ("pointwise", _image(24, 24, 8, lambda g, x: g.conv(x, 16))),
    "pointwise 128 -> 64, 3x3": ("pointwise", _image(3, 3, 128, lambda g, x: g.conv(x, 64, activation=NO_ACTIVATION))),
    "pointwise stride 2, 16 -> 32, 16x16": ("pointwise", _image(16, 16, 16, lambda g, x: g.conv(x, 32, 1, 2))),
    "3x3 16 -> 16, 16x16": ("dense", _image(16, 16, 16, lambda g, x: g.conv(x, 16, 3, activation=NO_ACTIVATION))),
    "3x3 64 -> 32, 8x8": ("dense", _image(8, 8, 64, lambda g, x: g.conv(x, 32, 3, activation=NO_ACTIVATION))),
    "3x3 stride 2, 16 -> 32, 16x16": ("dense", _image(16, 16, 16, lambda g, x: g.conv(x, 32, 3, 2))),
    "first 3x3 stride 2, 3 -> 8, 32x32": ("first layer", _image(32, 32, 3, lambda g, x: g.conv(x, 8, 3, 2))),
    "first 5x5 stride 2, 1 -> 16, 24x10": ("first layer", _image(24, 10, 1, lambda g, x: g.conv(x, 16, 5, 2))),
    "depthwise 3x3, 64, 25x5": ("depthwise", _image(25, 5, 64, lambda g, x: g.depthwise(x, 3))),
    "depthwise 3x3, 8, 24x24": ("depthwise", _image(24, 24, 8, lambda g, x: g.depthwise(x, 3))),
    "depthwise 3x3 stride 2, 32, 12x12": ("depthwise", _image(12, 12, 32, lambda g, x: g.depthwise(x, 3, 2))),
    "depthwise 5x5, 16, 12x12": ("depthwise", _image(12, 12, 16, lambda g, x: g.depthwise(x, 5))),
    "fully connected 640 -> 64": ("fully connected", _image(1, 1, 640, lambda g, x: g.connected(x, 64))),
    "fully connected 64 -> 12": ("fully connected", _image(1, 1, 64, lambda g, x: g.connected(x, 12))),
    "add 8x8x32": ("add", _image(8, 8, 32, lambda g, x: g.add(x, x))),
    "mean 8x8x64": ("pool", _image(8, 8, 64, lambda g, x: g.mean(x))),
    "max pool 8x8x64": ("pool", _image(8, 8, 64, lambda g, x: g.max_pool(x))),
    "matrices 2x32x16x32, transposed": ("matrices", lambda g: g.matmul(*_matrices(g, 2, 32, 16), adjoint=True)),
}
"""By name: the family, and what builds the layer."""

LARGE = ("pointwise 64 -> 64, 25x5", "3x3 16 -> 16, 16x16", "3x3 64 -> 32, 8x8", "3x3 stride 2, 16 -> 32, 16x16")

DENSE = tuple(name for name, (family, _) in LAYERS.items() if family == "dense" and "stride" not in name)
"""Layers that are measured once more with transformed weights."""


def build(names: tuple[str, ...]) -> Graph:
    """A graph with these layers one behind the other, each with an input of its own; only the last output is kept."""
    builder = CalibratedBuilder(7)
    outputs = [LAYERS[name][1](builder) for name in names]
    graph = import_model(builder.finish(*outputs), Path("layers.tflite"))
    return replace(graph, outputs=graph.outputs[-1:])


def layers_of(target_name: str) -> tuple[str, ...]:
    """The layers that are measured on a chip: on RTL, which takes a second for two million cycles, the smaller ones."""
    if load_target(target_name).simulator.program != RTL:
        return tuple(LAYERS)
    return tuple(name for name in LAYERS if name not in LARGE)


def measure_layers(target_name: str) -> dict[str, LayerCycles]:
    """All layers on a chip by name, with the kernels that it gets for few cycles. Raises ToolMissing."""
    measured = _measure(target_name, layers_of(target_name), 0)
    if core_of(load_target(target_name)) is None:
        return measured
    transformed = _measure(target_name, DENSE, TRANSFORMED_BYTES)
    for name, layer in transformed.items():
        if layer.kernel != measured[name].kernel:
            measured[f"{name}, transformed"] = replace(layer, family="dense, transformed")
    return measured


def _measure(target_name: str, names: tuple[str, ...], winograd_bytes: int) -> dict[str, LayerCycles]:
    target = load_target(target_name)
    graph = choose_kernels(build(names), target, KernelSettings(winograd_bytes=winograd_bytes))
    made = measure_graph(graph, plan_layers(graph, Rounding.TFLM, 0.0), target)
    found = {}
    for name, site, node in zip(names, graph.sites, made.nodes, strict=True):
        assert node is not None
        kernel = site.lower(Rounding.TFLM)[0].kernel
        found[name] = LayerCycles(LAYERS[name][0], kernel, site.op.macs(site), node.cycles)
    return found
