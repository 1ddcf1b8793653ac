"""Depthwise convolutions in the pointwise ones before them: the same bytes, and chosen only where that is faster."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.e2e.test_row_plans import bytes_of, run_firmware
from tests.host_batch import run_on_host
from tests.passes.network import Network, assert_equal_bytes, draw_samples, names, run
from thimble.codegen.kernels import choose_kernels
from thimble.compiler.driver.build_folder import open_build, write_report
from thimble.compiler.driver.layer_bench import measure_graph
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import with_fused_depthwise
from thimble.compiler.driver.stages import compile_model
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.ir.errors import UsageError
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.add_sub import Add
from thimble.compiler.ops.window import Padding
from thimble.compiler.passes.fuse_depthwise import fuse_depthwise
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.options import Objective
from thimble.targets.model import load_target

TARGET = "stm32l4r5zi"


def separable_network(height: int = 16, width: int = 16, channels: int = 8) -> Graph:
    """A depthwise layer of an image with three channels, a dense and a depthwise one, and three pairs of a pointwise
    and a depthwise one of strides 1, 2 and 1."""
    rng = np.random.default_rng(3)
    network = Network()
    x = depthwise(network, network.input((1, height, width, 3), zero=-7), rng, 1)
    x = network.conv(x, rng.integers(-90, 91, (channels, 3, 3, 3)), padding=Padding.SAME, zero=3, scale=0.08)
    x = depthwise(network, x, rng, 1)
    for stride, count in ((1, channels + 3), (2, 2 * channels), (1, channels)):
        x = pointwise(network, x, rng, count)
        x = depthwise(network, x, rng, stride)
    return network.graph(x)


def pointwise(network: Network, x: int, rng: np.random.Generator, count: int) -> int:
    weights = rng.integers(-90, 91, (count, 1, 1, network.shape(x)[3]))
    bias = [int(b) for b in rng.integers(-900, 900, count)]
    return network.conv(x, weights, bias, zero=-128, scale=0.05, activation=Activation.RELU)


def depthwise(network: Network, x: int, rng: np.random.Generator, stride: int) -> int:
    weights = rng.integers(-90, 91, (1, 3, 3, network.shape(x)[3]))
    return network.conv(
        x, weights, None, zero=-128, scale=0.05, activation=Activation.RELU, stride=stride, padding=Padding.SAME,
        depthwise=True,
    )  # fmt: skip


def fused_nodes(graph: Graph) -> int:
    return names(graph).count("conv_2d_depthwise")


@pytest.mark.parametrize("size", [(16, 16), (12, 10), (9, 7)])
def test_the_bytes_are_those_of_both(size: tuple[int, int]) -> None:
    graph = separable_network(*size)
    fused = fuse_depthwise(graph)
    assert fused_nodes(fused) == 4
    assert len(fused.nodes) == len(graph.nodes) - 4
    assert_equal_bytes(graph, fused)


def test_positions_say_which_ones() -> None:
    graph = separable_network()
    apart = ("conv_2d", "depthwise_conv_2d")
    assert names(with_fused_depthwise(graph, [4, 2])) == [
        *("depthwise_conv_2d", "conv_2d_depthwise", "conv_2d_depthwise", *apart, *apart),
    ]
    assert with_fused_depthwise(graph, []) is graph


def test_they_stay_apart_where_the_tensor_between_is_needed() -> None:
    rng = np.random.default_rng(1)
    network = Network()
    image = network.input((1, 8, 8, 4))
    read_twice = pointwise(network, image, rng, 4)
    is_output = pointwise(network, image, rng, 4)
    made = [depthwise(network, x, rng, 1) for x in (read_twice, is_output)]
    total = network.node(Add(Activation.NONE), made[0], read_twice)
    graph = network.graph(total, is_output, made[1])
    assert fuse_depthwise(graph) is graph


@pytest.mark.parametrize("own_kernels", [False, True], ids=["plain", "own"])
@pytest.mark.parametrize("size", [(16, 16), (12, 10), (9, 7)])
def test_c_on_the_host_gives_the_same_bytes(size: tuple[int, int], own_kernels: bool, tmp_path: Path) -> None:
    plain = separable_network(*size)
    graph = fuse_depthwise(plain)
    graph = choose_kernels(graph, load_target(TARGET)) if own_kernels else graph
    samples = draw_samples(plain, 3)
    (got,) = run_on_host([graph], [samples], tmp_path, plan_of=lambda g, rounding: plan_layers(g, rounding, 0))
    assert bytes_of(got) == run(plain, samples)


def test_firmware_gives_the_same_bytes_in_fewer_cycles(tmp_path: Path) -> None:
    plain, target = separable_network(), load_target(TARGET)
    apart, fused = (choose_kernels(graph, target) for graph in (plain, fuse_depthwise(plain)))
    kernels = [call.kernel for site in fused.sites for call in site.lower(Rounding.TFLM)]
    assert sum(kernel.startswith("conv_2d_depthwise_dsp") for kernel in kernels) == 4
    samples = draw_samples(plain, 2)
    plans = [plan_layers(graph, Rounding.TFLM, 0) for graph in (apart, fused)]
    outputs = run_firmware(TARGET, fused, plans[1], samples, tmp_path)
    assert outputs == b"".join(array for sample in run(plain, samples) for array in sample)
    cycles = [measure_graph(graph, plan, target).cycles for graph, plan in zip((apart, fused), plans, strict=True)]
    assert cycles[1] < 0.97 * cycles[0]


def test_a_build_takes_them_for_latency_alone_names_them_and_opens_again(tmp_path: Path) -> None:
    model = tmp_path / "separable.tflite"
    model.write_bytes(export_tflite(separable_network()))

    def build(name: str, **options: Any) -> dict[str, Any]:
        made = CompileOptions(**options)
        return compile_model(model, TARGET, tmp_path / name, made)

    fast = build("fast", objective=Objective.LATENCY)
    assert fast["build"]["depthwise_fused"] == [2, 4, 6, 8]
    fused = [row for row in fast["layers"] if row["op"] == "conv_2d_depthwise"]
    assert len(fused) == 4
    assert all(row["code_bytes"] > 1000 for row in fused)  # both functions in assembly
    opened = open_build(tmp_path / "fast").graph
    assert fused_nodes(opened) == 4
    assert [call.kernel for s in opened.sites for call in s.lower(Rounding.TFLM)] == [
        kernel for row in fast["layers"] for kernel in row["kernel"].split(", ")
    ]
    older = {**fast, "build": {name: value for name, value in fast["build"].items() if name != "depthwise_fused"}}
    write_report(tmp_path / "fast", older)
    with pytest.raises(UsageError, match=r"of another version of Thimble.* has no 'depthwise_fused'; compile again\.$"):
        open_build(tmp_path / "fast")
    for options in (
        {"objective": Objective.BALANCED},
        {"objective": Objective.LATENCY, "disabled_passes": ("fuse-depthwise",)},
    ):
        apart = build("apart", **options)
        assert apart["build"]["depthwise_fused"] == []
        assert apart["latency"]["cycles"] > fast["latency"]["cycles"]


def test_they_stay_apart_where_their_scratch_does_not_fit(tmp_path: Path) -> None:
    model = tmp_path / "separable.tflite"
    model.write_bytes(export_tflite(separable_network(32, 32)))
    options = CompileOptions(objective=Objective.LATENCY)
    free = compile_model(model, TARGET, tmp_path / "free", options)
    least = free["memory"]["sram_total_bytes"] - free["memory"]["arena_bytes"] + 20_000
    tight = compile_model(model, TARGET, tmp_path / "tight", replace(options, max_sram_bytes=least))
    assert len(tight["build"]["depthwise_fused"]) < len(free["build"]["depthwise_fused"])
    assert tight["memory"]["sram_total_bytes"] <= least
