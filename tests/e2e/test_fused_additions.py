"""Additions in the convolutions before them: the same bytes whole and by rows, and chosen only where that pays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.e2e.test_row_plans import by_rows, bytes_of, recipes, run_firmware
from tests.host_batch import run_on_host
from tests.passes.network import Network, draw_samples, run
from thimble.codegen.kernels import choose_kernels
from thimble.compiler.driver.build_folder import open_build
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import least_plan, with_fused_additions
from thimble.compiler.driver.stages import compile_model
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add, Sub
from thimble.compiler.ops.conv_2d_add import Conv2DAdd
from thimble.compiler.ops.pool_2d import MaxPool2D
from thimble.compiler.ops.window import Padding
from thimble.compiler.plan.checker import PlanError, check_plan
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.options import Objective, Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.runs import Recipe
from thimble.targets.model import load_target

NETWORKS = 30
PlanOf = Callable[[Graph, Rounding], Plan]


def residual_network(height: int = 8, width: int = 6, channels: int = 8, first_channels: int = 0) -> Graph:
    """Two blocks, one with a dense convolution before its sum, one with a pointwise one that comes first in it.

    With `first_channels`, a larger image of so many channels goes through a layer before them.
    """
    rng = np.random.default_rng(5)
    network = Network()

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-90, 91, shape)

    if first_channels:
        x = network.input((1, 2 * height, 2 * width, first_channels), zero=-7)
        x = network.conv(x, weights(channels, 3, 3, first_channels), None, padding=Padding.SAME, stride=2)
    else:
        x = network.input((1, height, width, channels), zero=-7)
    y = network.conv(x, weights(channels, 1, 1, channels), [3] * channels, zero=5, activation=Activation.RELU)
    y = network.conv(y, weights(channels, 3, 3, channels), [4] * channels, padding=Padding.SAME, zero=9, scale=0.07)
    x = network.node(Add(Activation.NONE), x, y, scale=0.12, zero=-3)
    y = network.conv(x, weights(channels, 3, 3, channels), [1] * channels, padding=Padding.SAME, stride=2, zero=2)
    z = network.conv(x, weights(channels, 1, 1, channels), None, stride=2, scale=0.2)
    return network.graph(network.node(Sub(Activation.RELU), z, y, scale=0.11, zero=-128))


def random_blocks(seed: int) -> Graph:
    """One to three sums of two ways from one image, whose last layers are convolutions of any window and quantization.

    The second way is the image itself, a convolution of it, or a maximum of it.
    """
    rng = np.random.default_rng(seed)
    network = Network()
    x = network.input((1, *(int(n) for n in rng.integers(3, 9, 3))), zero=int(rng.integers(-128, 128)))
    for _ in range(int(rng.integers(1, 4))):
        channels, stride = network.shape(x)[3], int(rng.choice([1, 1, 2]))
        kind = "image" if stride == 1 and rng.random() < 0.5 else "convolution" if rng.random() < 0.6 else "maximum"
        made = channels if kind != "convolution" else int(rng.integers(1, 9))

        def convolution(size: int, stride: int = stride, made: int = made, x: int = x) -> int:
            w = rng.integers(-127, 128, (made, size, size, network.shape(x)[3]))
            bias = [int(b) for b in rng.integers(-3000, 3000, made)]
            activation = list(Activation)[int(rng.integers(len(Activation)))]
            return network.conv(x, w, bias, padding=Padding.SAME, stride=stride, activation=activation, **quant())

        def quant() -> dict[str, float | int]:
            return {"scale": float(np.float32(rng.uniform(0.05, 0.5))), "zero": int(rng.integers(-128, 128))}

        first = convolution(int(rng.choice([1, 2, 3])))
        ways = {
            "image": lambda x=x: x,
            "convolution": lambda: convolution(int(rng.choice([1, 3]))),
            "maximum": lambda x=x, stride=stride: network.node(
                MaxPool2D(stride, stride, stride, stride, Padding.SAME, Activation.NONE), x
            ),
        }
        operands = [first, ways[kind]()][:: int(rng.choice([1, -1]))]
        op = (Add, Sub)[int(rng.integers(2))](Activation.RELU if rng.random() < 0.3 else Activation.NONE)
        x = network.node(op, *operands, **quant())
    return network.graph(x)


def fused_nodes(graph: Graph) -> int:
    return sum(isinstance(node.op, Conv2DAdd) for node in graph.nodes)


def layers(graph: Graph, rounding: Rounding) -> Plan:
    return plan_layers(graph, rounding, 0)


@pytest.mark.parametrize(("plan_of", "poison"), [(layers, True), (by_rows, False), (by_rows, True)])
def test_random_networks_give_the_same_bytes(plan_of: PlanOf, poison: bool, tmp_path: Path) -> None:
    pairs = [(plain, with_fused_additions(plain)) for plain in map(random_blocks, range(NETWORKS))]
    assert all(len(fused.nodes) < len(plain.nodes) for plain, fused in pairs)
    samples = [draw_samples(plain, 3) for plain, _ in pairs]
    got = run_on_host([fused for _, fused in pairs], samples, tmp_path, plan_of=plan_of, poison=poison)
    for (plain, fused), given, outputs in zip(pairs, samples, got, strict=True):
        assert bytes_of(outputs) == run(plain, given) == run(fused, given)


@pytest.mark.parametrize("own_kernels", [False, True], ids=["plain", "own"])
@pytest.mark.parametrize("recipe", [Recipe(1), Recipe(3), Recipe(1, column_parts=2), Recipe(1, row_parts=2)], ids=str)
def test_rows_strips_and_bands_give_the_same_bytes(recipe: Recipe, own_kernels: bool, tmp_path: Path) -> None:
    plain = residual_network()
    graph = with_fused_additions(plain)
    assert fused_nodes(graph) == 2
    if own_kernels:
        graph = choose_kernels(graph, load_target("stm32l4r5zi"))
    plan_of = recipes((5, recipe))
    check_plan(graph, plan_of(graph, Rounding.TFLM))
    samples = draw_samples(plain, 2)
    (got,) = run_on_host([graph], [samples], tmp_path, plan_of=plan_of, poison=True)
    assert bytes_of(got) == run(plain, samples)


def test_an_output_lies_exactly_over_its_residual_and_no_further_behind() -> None:
    """Both by layers; what begins a byte behind the residual would be written before that is read."""
    graph = with_fused_additions(residual_network())
    plan = layers(graph, Rounding.TFLM)
    check_plan(graph, plan)
    node = next(node for node in graph.nodes if isinstance(node.op, Conv2DAdd))
    tiles = {tile.value: index for index, tile in enumerate(plan.tiles)}
    residual, output = (
        next(b for b in plan.buffers if b.tile == tiles[value]) for value in (node.inputs[3], node.outputs[0])
    )
    assert residual.offset == output.offset
    behind = replace(
        plan,
        arena_bytes=plan.arena_bytes + 64,
        buffers=tuple(replace(b, offset=b.offset + 4) if b is output else b for b in plan.buffers),
    )
    with pytest.raises(PlanError):
        check_plan(graph, behind)


def test_they_are_tried_for_the_least_bytes_alone_and_taken_where_these_are_worth_the_cycles() -> None:
    graph = residual_network()

    def make(graph: Graph) -> tuple[Graph, Plan]:
        return graph, layers(graph, Rounding.TFLM)

    def chosen(objective: Objective, slowdown: float = 0.0, disabled: tuple[str, ...] = ()) -> int:
        options = CompileOptions(objective=objective, disabled_passes=disabled)
        cycles = {0: 100_000, 2: round(100_000 * (1 + slowdown))}
        found, _ = least_plan(graph, options, make, lambda made: cycles[fused_nodes(made)])
        return fused_nodes(found)

    saved = 1 - make(with_fused_additions(graph))[1].arena_bytes / make(graph)[1].arena_bytes
    assert chosen(Objective.SRAM) == chosen(Objective.SRAM, 2.9 * saved) == 2
    assert chosen(Objective.SRAM, 3.1 * saved) == 0
    assert chosen(Objective.SRAM, disabled=("fuse-additions",)) == 0
    assert chosen(Objective.BALANCED) == chosen(Objective.LATENCY) == 0


def test_they_are_left_apart_where_no_byte_is_saved() -> None:
    """The peak lies in a layer before the sums."""
    graph = residual_network(first_channels=16)
    found, _ = least_plan(
        graph, CompileOptions(objective=Objective.SRAM), lambda graph: (graph, layers(graph, Rounding.TFLM))
    )
    assert fused_nodes(with_fused_additions(graph)) == 2
    assert fused_nodes(found) == 0


@pytest.mark.parametrize("target", ["stm32l4r5zi", "stm32g0b1re"])
def test_the_firmware_gives_the_same_bytes(target: str, tmp_path: Path) -> None:
    plain = residual_network()
    graph = choose_kernels(with_fused_additions(plain), load_target(target))
    kernels = {call.kernel for site in graph.sites for call in site.lower_rows(Rounding.TFLM)}
    assert any(kernel.startswith("conv_2d_scalar_add") for kernel in kernels)
    samples = draw_samples(plain, 2)
    outputs = run_firmware(target, graph, recipes((5, Recipe(1)))(graph, Rounding.TFLM), samples, tmp_path)
    assert outputs == b"".join(array for sample in run(plain, samples) for array in sample)


def test_a_build_names_them_and_opens_again(tmp_path: Path) -> None:
    model = tmp_path / "residual.tflite"
    model.write_bytes(export_tflite(residual_network()))
    options = CompileOptions(objective=Objective.SRAM, schedule=Schedule.LAYER)
    report = compile_model(model, "stm32l4r5zi", tmp_path / "build", options)
    assert report["build"]["additions_fused"]
    assert [row["op"] for row in report["layers"]].count("conv_2d_add") == 2
    build = open_build(tmp_path / "build")
    assert fused_nodes(build.graph) == 2
    assert len(build.graph.nodes) == len(report["layers"])
