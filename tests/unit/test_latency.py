"""A simulator's figures in a report: means of one inference, layers with their kernels, views that cost nothing."""

from __future__ import annotations

from typing import Any

import pytest

from thimble.compiler.driver.latency import merge_trace
from thimble.targets.sim.trace import FunctionCost, Trace

Report = dict[str, Any]


@pytest.fixture
def report() -> Report:
    """Three layers without figures, of which the middle one is a view."""
    kernels = ("conv_2d_s8", "view", "softmax_s8")
    ops = ("conv_2d", "reshape", "softmax")
    rows = [
        {"index": i, "op": op, "kernel": kernel, "cycles": None, "instructions": None}
        for i, (op, kernel) in enumerate(zip(ops, kernels, strict=True))
    ]
    return {
        "build": {"name": "net"},
        "target": {"clock_hz": 1_000_000, "timing": "estimate", "timing_error_percent": None},
        "memory": {"stack_bytes": None, "sram_total_bytes": 100},
        "latency": {"cycles": None, "instructions": None, "ms": None},
        "layers": rows,
        "functions": [],
    }


def trace(cycles: int | None = 9_000) -> Trace:
    """Two inferences."""
    functions = (
        FunctionCost("net_invoke", 2, 10, 20, 4_001, 3_000),
        FunctionCost("layer_00_conv_2d", 2, 20, 31, 3_001, 2_000),
        FunctionCost("thimble_conv_2d_s8", 2, 1_980, 2_970, 2_970, 1_980),
        FunctionCost("layer_02_softmax", 2, 20, 30, 980, 600),
    )
    return Trace(0, instructions=4_000, cycles=cycles, peak_stack_bytes=64, functions=functions, timing="model")


def test_layers_are_the_mean_of_one_inference_with_their_kernels(report: Report) -> None:
    merge_trace(report, trace())
    assert report["latency"]["cycles"] == 2_001
    assert [(row["cycles"], row["own_cycles"]) for row in report["layers"]] == [(1_501, 16), (0, 0), (490, 15)]
    assert [row["instructions"] for row in report["layers"]] == [1_000, 0, 300]


def test_a_view_costs_nothing_only_where_the_run_was_timed(report: Report) -> None:
    merge_trace(report, trace(cycles=None))
    assert [row["cycles"] for row in report["layers"]] == [None, None, None]
    assert report["memory"] == {"stack_bytes": 64, "sram_total_bytes": 164}


def test_a_layer_that_did_not_run_stays_unmeasured(report: Report) -> None:
    report["layers"][0]["op"] = "other"
    merge_trace(report, trace())
    assert [row["cycles"] for row in report["layers"]] == [None, 0, 490]


def test_all_calls_of_all_functions_of_a_layer_count(report: Report) -> None:
    functions = (
        FunctionCost("net_invoke", 2, 10, 20, 40_000, 30_000),
        FunctionCost("layer_00_conv_2d_strip_0", 20, 40, 60, 12_000, 9_000),
        FunctionCost("layer_00_conv_2d_strip_1", 18, 36, 54, 8_001, 7_000),
        FunctionCost("layer_02_softmax", 2, 20, 30, 980, 600),
        FunctionCost("layer_002_other", 2, 20, 30, 980, 600),
        FunctionCost("layer_20_conv_2d", 2, 20, 30, 980, 600),
    )
    merge_trace(report, Trace(0, instructions=4_000, cycles=1, functions=functions, timing="model"))
    streamed, _, whole = report["layers"]
    assert (streamed["cycles"], streamed["own_cycles"], streamed["instructions"]) == (10_001, 57, 8_000)
    assert (streamed["calls"], whole["calls"]) == (19, 1)
    assert (whole["cycles"], whole["instructions"]) == (490, 300)
