"""The cost model: near what is simulated on a network that was not in the fit, and an entry for each kernel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.bench import cost_samples, fit_costs
from tests.bench.cost_networks import ATTENTION_NETWORKS, CONVERTED_NETWORKS, POOLED_NETWORKS, network
from tests.bench.cost_samples import ROUNDING, Variant, load_graph, sample
from tests.bench.cost_table import relative_errors
from tests.bench.fit_costs import fit, non_negative_least_squares
from tests.models.calibrated import CalibratedBuilder
from thimble.codegen.kernels import KernelFamily, KernelSettings, choose_kernels, kernels_by_limit
from thimble.compiler.driver import demo
from thimble.compiler.driver.options import Io
from thimble.compiler.plan.call_shape import CallShape, NodeSize
from thimble.compiler.plan.cycles import COSTS, FAST_DATA, OTHERS, REFERENCE, cycle_model, extra_cycles, kernel_entry
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.kernels import UNLIMITED, KernelLimit
from thimble.targets.model import load_target

BOARD = load_target(REFERENCE)
MODEL = cycle_model(REFERENCE)
COMPACT = KernelSettings(compact=True)


@pytest.mark.parametrize(
    "variant",
    [Variant(KernelFamily.C), Variant(KernelFamily.AUTO), Variant(KernelFamily.AUTO, rows=1)],
    ids=["plain C", "own", "by rows"],
)
def test_median_error_is_below_ten_percent(variant: Variant) -> None:
    graph = load_graph(demo.model_path().read_bytes(), "shipped")
    errors = np.abs(relative_errors(sample(graph, BOARD, variant).layers, MODEL))
    assert len(errors) >= 10
    assert np.median(errors) < 10


@pytest.mark.parametrize("chip", ["stm32g0b1re", "mps3-an547"])
def test_median_error_on_other_cores_is_below_ten_percent(chip: str) -> None:
    graph = load_graph(demo.model_path().read_bytes(), "shipped")
    run = sample(graph, load_target(chip), Variant(KernelFamily.AUTO, rows=1))
    errors = np.abs(relative_errors(run.layers, cycle_model(chip)))
    assert len(errors) >= 10
    assert np.median(errors) < 10


@pytest.mark.parametrize("chip", [REFERENCE, "stm32h743zi", "stm32u575zi"])
@pytest.mark.parametrize("number", [*range(4), ATTENTION_NETWORKS[0], POOLED_NETWORKS[0]])
def test_every_kernel_was_measured(number: int, chip: str) -> None:
    graph, model = load_graph(network(number), f"random {number}"), cycle_model(chip)
    for settings in (KernelSettings(KernelFamily.C), KernelSettings(), KernelSettings(winograd_bytes=1 << 20)):
        for limit in (UNLIMITED, KernelLimit(2048)):
            for site in choose_kernels(graph, load_target(chip), settings, limit).sites:
                for call in () if site.op.name == "reshape" else site.lower(ROUNDING):  # views run no code
                    measured = call.kernel.startswith(model.entry(call.kernel))
                    assert measured, f"{call.kernel} has no costs: run `make fit-costs`"


def works_by_scratch() -> Iterator[tuple[str, list[float]]]:
    """For layers of a network the predicted cycles of its kernels, from the most scratch to the least."""
    for site in load_graph(network(0), "random").sites:
        size = NodeSize.of(site)
        by_kernel: dict[str, list[float]] = {}
        for _, calls in kernels_by_limit(site, BOARD, ROUNDING, False, KernelSettings()):
            work = NodeWork(size, tuple(CallShape.of(call, False) for call in calls))
            by_kernel.setdefault(MODEL.entry(calls[0].kernel), []).append(MODEL.cycles(work))
        yield from by_kernel.items()


def test_planes_in_smaller_portions_are_not_priced_as_faster() -> None:
    ladders = [ladder for kernel, ladder in works_by_scratch() if kernel == "depthwise_conv_2d_dsp"]
    assert any(len(ladder) > 3 for ladder in ladders)
    for ladder in ladders:
        assert all(less >= more for more, less in pairwise(ladder))


def test_calls_by_rows_cost_more_than_one() -> None:
    site = load_graph(network(0), "random").sites[1]
    work = NodeWork.of(site, ROUNDING)
    steps = work.size.steps
    one_by_one = extra_cycles(MODEL, work, steps, work.size.macs)
    by_two = extra_cycles(MODEL, work, -(-steps // 2), work.size.macs)
    twice = extra_cycles(MODEL, work, steps, 2 * work.size.macs)
    assert by_two < one_by_one < twice


def test_entries_are_the_longest_names_that_fit() -> None:
    entries = {"conv_2d_dsp": 1, "conv_2d_rows_dsp": 2, "add_s8": 3}
    assert kernel_entry("conv_2d_rows_dsp_3x3s1x1_p8r272c16_f", entries) == "conv_2d_rows_dsp"
    assert kernel_entry("conv_2d_dsp_f3", entries) == "conv_2d_dsp"
    assert kernel_entry("add_s8", entries) == "add_s8"
    assert kernel_entry("add_s16", entries) == kernel_entry("add_new_dsp_7", entries) == "add_s8"
    assert kernel_entry("lookup_s8", entries) == OTHERS


def test_chips_with_a_faster_ram_have_costs_of_data_there_too() -> None:
    entries = [entry for chip in fit_costs.MEASURED for entry in fit_costs.entries_of(load_target(chip))]
    assert set(entries) == json.loads(COSTS.read_text())["targets"].keys()
    assert {entry.partition(FAST_DATA)[0] for entry in entries if FAST_DATA in entry} == {"stm32h743zi", "mps3-an547"}
    assert cycle_model("stm32h743zi", True).kernels != cycle_model("stm32h743zi").kernels
    assert cycle_model("stm32u575zi", True).kernels == cycle_model("stm32u575zi").kernels


def test_unknown_chips_are_priced_like_the_reference() -> None:
    assert cycle_model("no such chip").kernels == MODEL.kernels


def test_fit_finds_the_costs() -> None:
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(40):
        amounts = {"calls": 1.0, "macs": float(rng.integers(1000, 90000)), "outputs": float(rng.integers(10, 4000))}
        rows.append((amounts, 800 * amounts["calls"] + 1.25 * amounts["macs"] + 7 * amounts["outputs"]))
    rows[0] = (rows[0][0], 3 * rows[0][1])  # one that the work does not explain
    costs = fit(rows)
    assert costs == pytest.approx({"calls": 800, "macs": 1.25, "outputs": 7}, rel=0.02)


def test_single_entries_are_fitted_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(cost_samples, "cache_dir", lambda: tmp_path)
    graph = load_graph(network(CONVERTED_NETWORKS[0]), "converted", Io.MODEL)
    found = sample(graph, BOARD, Variant(KernelFamily.AUTO))
    assert "quantize_dsp" in {kernel for layer in found.layers for kernel, _ in layer.amounts()}
    monkeypatch.setattr(cost_samples, "measure_project", None)  # the same firmware is measured once
    assert sample(graph, BOARD, Variant(KernelFamily.AUTO)).layers == found.layers

    monkeypatch.setattr(fit_costs, "measure", lambda *_: [found] * fit_costs.LEAST_SAMPLES)
    known = json.loads(COSTS.read_text())["targets"][REFERENCE]
    alone = fit_costs.costs_of(BOARD, [((), ())], known, ["quantize_dsp"])
    changed = {entry for entry, costs in alone["kernels"].items() if costs != known["kernels"][entry]}
    assert changed == {"quantize_dsp"}
    assert {key for key in known if alone[key] != known[key]} <= {"kernels", "samples", "median_error_percent"}
    steps = replace(found, step_cycles=70.0)
    monkeypatch.setattr(fit_costs, "measure", lambda *_: [steps] * fit_costs.LEAST_SAMPLES)
    whole = fit_costs.costs_of(BOARD, [((), ())], known)
    packed = {entry for entry in known["kernels"] if entry.endswith("_packed")}
    assert packed < set(whole["kernels"]) < set(known["kernels"])
    assert all(whole["kernels"][entry] == known["kernels"][entry] for entry in packed)
    assert whole["narrow"] == known["narrow"]
    assert whole["step"] == 70.0


def test_narrow_depthwise_rows_are_priced_as_they_are() -> None:
    """A step in time at a time takes about three times as long as all of them as one row."""
    g = CalibratedBuilder(1)
    graph = choose_kernels(load_graph(g.finish(g.depthwise(g.input(1, 24, 1, 64), (5, 1))), "time"), BOARD, COMPACT)
    work = NodeWork.of(graph.sites[0], ROUNDING)
    assert 2.5 < 3 * MODEL.cycles(work, 8.0) / MODEL.cycles(work) < 5


def row_amounts(chip: str, width: int, channels: int) -> dict[str, float]:
    """What the chip's own kernel of a pointwise layer to 32 channels does for one row of pixels."""
    g = CalibratedBuilder(1)
    graph = load_graph(g.finish(g.conv(g.input(1, 6, width, channels), 32)), "row")
    site = choose_kernels(graph, load_target(chip), KernelSettings()).sites[0]
    ((_, amounts),) = NodeWork.of(site, ROUNDING).calls(1.0)
    return dict(amounts)


def test_work_in_vain_is_counted() -> None:
    """Panels hold pairs of pixels; with vectors, so do windows, and steps are of 16 lanes."""
    one, two, three = (row_amounts("stm32g0b1re", width, 24)["products"] for width in (1, 2, 3))
    assert 0 < one == two < three
    five, six, seven = (row_amounts("mps3-an547", width, 48)["macs"] for width in (5, 6, 7))
    assert 0 < five == six < seven
    assert row_amounts("mps3-an547", 6, 36)["macs"] == six


def test_least_squares_stay_above_zero() -> None:
    a = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 3.0]])
    assert non_negative_least_squares(a, np.array([3.0, 2.0, 1.0])) == pytest.approx([2.0, 0.0])
