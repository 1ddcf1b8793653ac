"""Patches classed by their values in the firmware: one of two branches runs, and bytes are those of the reference."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import thimble
from tests.host_batch import run_on_host
from tests.quantize.test_mixed import run_cli, windows
from thimble.compiler.driver.html_report import write_html
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import check_limits
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.errors import TooSlow
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.batching import batched
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.has_outliers import HasOutliers
from thimble.compiler.ops.select import Select
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.guards import find_flags
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_graph
from thimble.quantize.loss import run_values
from thimble.quantize.parameters import store
from thimble.quantize.patch_precision import PatchMixed, narrow_patches
from thimble.quantize.patched import Classing, patched
from thimble.quantize.patches import patch_stage
from thimble.targets.model import load_target

PHI = 0.9999
"""Some patches of some samples have outliers, others none."""

ALWAYS, NEVER = (127, -128), DType.INT8.range
"""Ranges that every value lies outside of, and none."""


def stored() -> Array:
    """The samples as the graph takes them, one a row."""
    graph, given = windows()
    type_ = graph.values[graph.inputs[0]].type
    assert type_.quant is not None
    return store(given.inputs[0].reshape(-1, *type_.shape), type_.quant, type_.dtype)


def dynamic() -> PatchMixed:
    graph, given = windows()
    return narrow_patches(graph, given, (4, 2), phi=PHI, by_data=True)


def flags_of(graph: Graph, x: Array) -> list[bool]:
    """What the flags of a graph say of a sample."""
    trace = Executor(graph).trace([x])
    return [bool(trace[n.outputs[0]].item()) for n in graph.nodes if isinstance(n.op, HasOutliers)]


@pytest.mark.parametrize("limits", [ALWAYS, NEVER, (-100, 20)])
def test_branches_that_are_alike_give_the_bytes_of_whole_layers(limits: tuple[int, int]) -> None:
    graph, _ = windows()
    stage = patch_stage(graph)
    apart = dict.fromkeys(range(len(stage.areas)), (stage.split,))
    written = patched(graph, stage, Classing(*limits, apart))
    assert set(written.others) == set(apart)
    for x in stored():
        (got,), (want,) = Executor(written.graph).invoke([x]), Executor(graph).invoke([x])
        assert np.array_equal(got, want)


def test_patches_with_outliers_stay_in_8_bits() -> None:
    """A sample whose patches all have outliers gets the very bytes of int8, others do not all."""
    graph, _ = windows()
    found = dynamic()
    flags = [n for n in found.graph.nodes if isinstance(n.op, HasOutliers)]
    assert 0 < len(flags) == sum(bool(bits.values) for bits in found.choice.bits)
    wide = patched(graph, found.stage, Classing(*ALWAYS, dict.fromkeys(range(9), ())))
    differing = 0
    for x in stored():
        (got,), (want,) = Executor(found.graph).invoke([x]), Executor(wide.graph).invoke([x])
        assert np.array_equal(got, want) or not all(flags_of(found.graph, x))
        differing += not np.array_equal(got, want)
    assert differing
    assert found.choice.chosen == found.choice.mean_by_data < found.choice.worst == found.choice.by_patches


def test_flags_agree_with_the_classes_that_were_counted() -> None:
    """The share of samples with outliers that the search counts is what the firmware's flags say of them."""
    found = dynamic()
    said = np.array([flags_of(found.graph, x) for x in stored()])
    counted = [s for s, bits in zip(found.choice.outlying, found.choice.bits, strict=True) if bits.values]
    assert np.allclose(said.mean(axis=0), counted)
    assert 0 < said.mean() < 1


def test_file_holds_flags_and_choices() -> None:
    found = dynamic()
    read = import_tflite(export_tflite(found.graph), "q")
    for kind in (HasOutliers, Select):
        assert [n.op for n in read.nodes if isinstance(n.op, kind)] == [
            n.op for n in found.graph.nodes if isinstance(n.op, kind)
        ]
    x = stored()
    want = run_values(found.graph, [x], found.graph.outputs)[0]
    assert np.array_equal(run_values(read, [x], read.outputs)[0], want)
    assert batched(read, len(x)) is not None, "samples run together"
    alone = np.stack([Executor(read).invoke([one])[0] for one in x])
    assert np.array_equal(alone.reshape(want.shape), want)


@pytest.mark.parametrize("poison", [False, True])
def test_branches_run_by_flags_on_the_host(tmp_path: Path, poison: bool) -> None:
    """Dead bytes are filled with rubbish: nobody reads what a branch left out would have made."""
    found = dynamic()
    guarded = find_flags(found.graph)
    assert {flag.wanted for flag in guarded.values()} == {True, False}
    samples = [[x] for x in stored()]
    said = np.array([flags_of(found.graph, x) for (x,) in samples])
    assert 0 < said.mean() < 1

    def plan_of(graph: Graph, rounding: object) -> Plan:
        plan = plan_graph(graph)
        check_plan(graph, plan)
        assert len(plan.guards) == len(guarded)
        return plan

    (got,) = run_on_host([found.graph], [samples], tmp_path, plan_of=plan_of, poison=poison)
    for (x,), (y,) in zip(samples, got, strict=True):
        assert np.array_equal(y, Executor(found.graph).invoke([x])[0])


@pytest.mark.parametrize("kernels", ["auto", "c"])
def test_firmware_takes_the_branch_of_each_patch(tmp_path: Path, kernels: str) -> None:
    graph, given = windows()
    model, calibration, out = tmp_path / "i.tflite", tmp_path / "c.npz", tmp_path / "out"
    model.write_bytes(export_tflite(graph))
    np.savez(calibration, x=given.inputs[0].reshape(-1, 12, 12, 3))
    asked = ("--calibration", calibration, "--search", "vdqs", "--vdpc", "dynamic", "--phi", PHI)
    code, text = run_cli("compile", model, "-t", "stm32l4r5zi", "-o", out, "--kernels", kernels, *asked)
    assert code == 0, text
    report = thimble.verify(out, data=calibration, samples=12)
    assert report["verify"]["mismatched_values"] == 0
    assert {row["runtime"] for row in report["verify"]["runtimes"]} >= {"host", "target"}
    code, text = run_cli("profile", out, "--data", calibration, "--samples", 12)
    assert code == 0, text
    assert "at worst" in " ".join(text.split())
    report = json.loads((out / "report.json").read_text())
    guards = [layer["guard"] for layer in report["layers"] if "guard" in layer]
    assert {guard["where"] for guard in guards} == {True, False}
    ran = {layer["guard"]["where"] for layer in report["layers"] if "guard" in layer and layer["cycles"]}
    assert ran == {True, False}, "both branches are to run over the samples"
    latency = report["latency"]
    worst = latency["worst_case"]
    assert latency["cycles"] < worst["cycles"]
    assert max(worst["cycles_if_all_true"], worst["cycles_if_all_false"]) <= worst["cycles"]
    with pytest.raises(TooSlow, match="at worst"):
        check_limits(report, load_target("stm32l4r5zi"), CompileOptions(max_ms=(latency["ms"] + worst["ms"]) / 2))
    assert {branch["layer"] for branch in worst["branches"]} == {guard["layer"] for guard in guards}
    assert f"{worst['cycles']:,} cycles" in write_html(out).read_text()


def test_dynamic_classes_go_with_patches(tmp_path: Path) -> None:
    code, text = run_cli(
        "compile", tmp_path / "m.tflite", "-t", "stm32l4r5zi", "-o", tmp_path / "o", "--vdpc", "dynamic"
    )
    assert code == 2
    assert "goes with --search vdqs" in text
