"""Every layer that stays in plain C says why, on every kind of core; those with other kernels say nothing."""

from __future__ import annotations

import re
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

import thimble
from tests.kernels.cases import fuse, plain_call
from tests.kernels.draws import DRAWS
from tests.kernels.edges import EDGES
from tests.models.mobilenet_v2 import Block, Network, build_network
from tests.tflite_builder import ModelBuilder
from thimble.codegen.kernels import KernelFamily, KernelSettings, own_call
from thimble.codegen.why_plain import BEYOND_PROOF, OTHER_SHAPE, why_plain
from thimble.compiler.driver.open_model import open_model
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.plain_layers import PlainLayers, plain_layers, plain_reasons
from thimble.compiler.driver.plan_model import plan_model
from thimble.compiler.driver.planning import sram_limit
from thimble.compiler.driver.tables import compile_view, plain_table
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Site
from thimble.compiler.ops.convolution import LATE_KERNELS
from thimble.compiler.ops.support import limit_broken
from thimble.compiler.plan.late import write_late
from thimble.compiler.plan.options import Objective, Schedule
from thimble.targets.model import load_target

CHIPS = ("stm32l4r5zi", "mps3-an547", "stm32f207zg", "stm32g0b1re", "ibex")
"""One of each kind of core."""

AUTO = KernelSettings()
SEPARABLE = Network(48, 8, (Block(0, 3, 1, 8), Block(16, 3, 2, 8), Block(24, 3, 2, 16)), 32, 10)


@pytest.mark.parametrize("operator", sorted(DRAWS.keys() | EDGES.keys()))
def test_drawn_layers_have_a_kernel_or_a_reason(operator: str) -> None:
    draws = [draws[operator] for draws in (DRAWS, EDGES) if operator in draws]
    for seed in range(8):
        rng = np.random.default_rng([zlib.crc32(operator.encode()), seed])
        graph = fuse(import_tflite(draws[seed % len(draws)](rng), operator))
        site, whole = graph.sites[0], bool(rng.random() < 0.5)
        if limit_broken(site) is not None:
            continue
        call = plain_call(site, whole)
        for chip in map(load_target, CHIPS):
            reason = why_plain(site, call, whole, chip, AUTO)
            assert (reason is None) == (own_call(site, call, whole, chip, AUTO) is not None)
            assert reason != OTHER_SHAPE


def convolution(
    operator: str = "CONV_2D",
    weights: tuple[int, ...] = (8, 3, 3, 8),
    depth: int = 8,
    size: tuple[int, int] = (12, 12),
    dtype: Any = np.int8,
    scale: float = 0.01,
    bias: int = 0,
    **fields: int,
) -> bytes:
    """A model of one convolution, padded as SAME does, with weights of 1."""
    m, channels = ModelBuilder(), weights[3 if operator == "DEPTHWISE_CONV_2D" else 0]
    stride = fields.get("strideH", 1)
    x = m.tensor((1, *size, depth), dtype, 0.5, 0)
    w = m.tensor(weights, np.int8, scale, 0, data=np.ones(weights, np.int8))
    wide = np.int64 if dtype is np.int16 else np.int32
    b = m.tensor((channels,), wide, 0.5 * scale, 0, data=np.full(channels, bias, wide))
    y = m.tensor((1, *(-(-n // stride) for n in size), channels), dtype, 0.5, 0)
    common = {"padding": 0, "strideH": 1, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 1}
    options = "Conv2DOptions" if operator == "CONV_2D" else "DepthwiseConv2DOptions"
    m.op(operator, [x, w, b], [y], options, **(common | fields))
    m.interface([x], [y])
    return m.build()


def depthwise(kernel: int = 3, channels: int = 8, multiplier: int = 1, **fields: int) -> bytes:
    """A model of one depthwise convolution."""
    shape = (1, kernel, kernel, channels * multiplier)
    return convolution("DEPTHWISE_CONV_2D", shape, channels, depthMultiplier=multiplier, **fields)


def reasons(model: bytes) -> dict[str, str | None]:
    """Why the one layer of a model stays plain, by chip."""
    site: Site = import_tflite(model, "layer").sites[0]
    call = plain_call(site, whole=True)
    return {name: why_plain(site, call, True, load_target(name), AUTO) for name in CHIPS}


TWICE = {"dilationHFactor": 2, "dilationWFactor": 2}
SCALAR = ("stm32f207zg", "stm32g0b1re", "ibex")
WITHOUT_VECTORS = ("stm32l4r5zi", *SCALAR)


@pytest.mark.parametrize(
    ("model", "chips", "reason"),
    [
        (convolution(weights=(8, 3, 3, 4)), CHIPS, "it is a grouped convolution"),
        (convolution(**TWICE), (), None),
        (convolution(weights=(2, 3, 3, 8), **TWICE), SCALAR, "its window is dilated"),
        (depthwise(**TWICE), WITHOUT_VECTORS, "its window is dilated"),
        (depthwise(multiplier=2), CHIPS, "each input channel has 2 output channels"),
        (depthwise(kernel=9), ("mps3-an547", *SCALAR), "its window of 9x9 is larger than such kernels take"),
        (depthwise(kernel=11), CHIPS, "its window of 11x11 is larger than such kernels take"),
        (depthwise(kernel=11, channels=1), WITHOUT_VECTORS, "its window of 11x11 is larger than such kernels take"),
        (convolution(dtype=np.int16), CHIPS, "there is only plain C for conv_2d_s16 on"),
        (convolution(bias=(1 << 31) - 100_000), CHIPS, BEYOND_PROOF),
        (convolution(weights=(1, 3, 3, 8)), (), None),
        (convolution(weights=(7, 3, 3, 5), depth=5), (), None),
        (convolution(weights=(8, 5, 5, 8), size=(2, 3)), (), None),
        (convolution(weights=(8, 2, 2, 8), strideH=3, strideW=3), (), None),
        (depthwise(channels=1), (), None),
    ],
)
def test_shapes_that_fall_to_plain_c_say_why(model: bytes, chips: tuple[str, ...], reason: str | None) -> None:
    found = reasons(model)
    assert {name for name, why in found.items() if why is not None} == set(chips)
    assert all(reason is not None and (found[name] or "").startswith(reason) for name in chips)


@pytest.mark.parametrize(
    ("model", "elsewhere"),
    [
        (convolution(weights=(8, 1, 1, 8)), None),
        (convolution(weights=(8, 1, 1, 4)), "it is a grouped convolution"),
        (depthwise(), None),
    ],
)
def test_late_writes_are_plain_c_with_vectors_alone(model: bytes, elsewhere: str | None) -> None:
    site = write_late(import_tflite(model, "layer")).sites[0]
    call = plain_call(site, False)
    assert call.kernel in LATE_KERNELS.values()
    found = {chip: why_plain(site, call, False, load_target(chip), AUTO) for chip in CHIPS}
    assert "kernels that write late" in (found.pop("mps3-an547") or "")
    assert set(found.values()) == {elsewhere}


def test_plain_c_that_is_asked_for_says_so() -> None:
    site = import_tflite(convolution(), "layer").sites[0]
    settings = replace(AUTO, family=KernelFamily.C)
    assert (
        why_plain(site, plain_call(site, True), True, load_target("stm32l4r5zi"), settings)
        == "--kernels c asks for plain C"
    )


def report_of(*layers: tuple[str | None, int]) -> dict[str, Any]:
    """A report with these reasons and cycles."""
    rows = [{"index": i, "why_plain": why, "cycles": cycles} for i, (why, cycles) in enumerate(layers)]
    return {"layers": rows, "latency": {"cycles": sum(cycles for _, cycles in layers)}}


def test_layers_are_told_by_reason_those_with_the_most_cycles_first() -> None:
    report = report_of(("small", 1), (None, 499), ("large", 100), ("large", 300), (None, 92), ("large", 8), ("tiny", 0))
    groups = plain_layers(report)
    assert groups[0] == PlainLayers("large", (2, 3, 5), 40.8)
    assert [group.why for group in groups] == ["large", "small", "tiny"]
    table = plain_table(report)
    assert table is not None
    assert [list(column.cells) for column in table.columns] == [["2-3, 5"], ["40.8%"], ["large"]]
    assert "of 2 more" in str(table.caption)
    assert plain_table(report_of((None, 1000), ("little", 1))) is None


def reasons_in_least_sram(chip: str, folder: Path) -> list[str]:
    """Why layers stay plain in the smallest plan of whole layers, where that is what their own kernels need."""
    file = folder / "model.tflite"
    file.write_bytes(build_network(SEPARABLE))
    options = CompileOptions(objective=Objective.SRAM, schedule=Schedule.LAYER, plan_time_s=0.0)
    opened = open_model(file, chip, options)
    model, plan = plan_model(opened, sram_limit(opened.target, options))
    return [why for why in plain_reasons(model, plan, model.project(plan)).values() if "its own kernels" in why]


def test_layers_that_a_plan_keeps_plain_say_what_their_own_kernels_need(tmp_path: Path) -> None:
    reasons = reasons_in_least_sram("mps3-an547", tmp_path)
    assert reasons
    assert all(re.match(r"its own kernels take [1-9][\d,]* bytes of scratch or more", why) for why in reasons)


def test_outputs_over_inputs_leave_other_kernels_than_plain_ones(tmp_path: Path) -> None:
    assert not reasons_in_least_sram("stm32l4r5zi", tmp_path)


def test_builds_tell_what_stays_plain(tmp_path: Path) -> None:
    model = tmp_path / "grouped.tflite"
    model.write_bytes(convolution(weights=(8, 3, 3, 4)))
    report = thimble.compile(model, "stm32l4r5zi", tmp_path / "out")
    assert [row["why_plain"] for row in report["layers"]] == ["it is a grouped convolution"]
    console = Console(width=100)
    with console.capture() as shown:
        console.print(compile_view(report))
    assert "it is a grouped convolution" in shown.get()
