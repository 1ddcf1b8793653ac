"""Fewer bits that make the firmware both larger and slower are found, and no search keeps them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.models.calibrated import CalibratedBuilder
from thimble.compiler.driver.fewer_bits import bits_bought
from thimble.compiler.driver.narrow_choice import Bought, NarrowKind, Price, in_int8, kinds_of
from thimble.compiler.driver.open_model import open_model
from thimble.compiler.driver.options import CompileOptions, QuantizeOptions
from thimble.compiler.driver.plan_model import plan_model
from thimble.compiler.driver.planning import silent, sram_limit
from thimble.compiler.driver.quantize_search import SearchKind, SearchOptions, Unit, Weights
from thimble.compiler.driver.stages import compile_model
from thimble.compiler.exporters.tflite import export_tflite
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.types import DType
from thimble.compiler.plan.options import Objective
from thimble.quantize.narrow import NarrowValue, narrow, narrow_weights, on_fewer_levels
from thimble.quantize.quantizer import Method
from thimble.quantize.weights import has_weights

NARROW, WIDE = Price(1000, 500, 90), Price(900, 400, 80)


def test_only_what_is_larger_and_slower_loses() -> None:
    assert Bought(NarrowKind.WEIGHTS, NARROW, WIDE).loses
    assert not Bought(NarrowKind.WEIGHTS, NARROW, None).loses  # int8 does not fit
    assert not Bought(NarrowKind.WEIGHTS, replace(NARROW, cycles=80), WIDE).loses
    assert not Bought(NarrowKind.WEIGHTS, replace(NARROW, constant_bytes=300), WIDE).loses  # as large, both together
    assert Bought(NarrowKind.WEIGHTS, replace(NARROW, constant_bytes=399), WIDE).loses  # a byte less does not pay


def spoken() -> bytes:
    """Pointwise and depthwise layers of many channels on few pixels: rows of int8 are most of what tensors take."""
    g = CalibratedBuilder(3)
    x = g.conv(g.input(1, 14, 8, 1), 32, 3, 2)
    for _ in range(3):
        x = g.conv(g.depthwise(x, 3), 32)
    return g.finish(g.connected(g.mean(x), 5))


def with_few_bits(graph: Graph, weights: bool, activations: bool) -> Graph:
    """All weights, all activations inside, or both, in 4 bits."""
    chosen = {i: narrow_weights(s, DType.INT4) for i, s in enumerate(graph.sites) if weights and has_weights(s)}
    values = {}
    for index, value in enumerate(graph.values):
        inner = value.role is Role.ACTIVATION and value.type.dtype is DType.INT8 and index not in graph.outputs
        if activations and inner and value.type.quant is not None:
            values[index] = NarrowValue(DType.INT4, on_fewer_levels(value.type.quant, DType.INT4))
    return narrow(graph, chosen, values).graph


def bought(graph: Graph, objective: Objective, folder: Path) -> dict[NarrowKind, Bought]:
    """What a model's bits bought on the chip of reference."""
    path = folder / "model.tflite"
    path.write_bytes(export_tflite(graph))
    options = CompileOptions(objective=objective)
    model = open_model(path, "stm32l4r5zi", options)
    limit = sram_limit(model.target, options)
    model, plan = plan_model(model, limit)
    return {found.kind: found for found in bits_bought(model, plan, limit, silent)}


def test_weights_and_activations_are_priced_apart(tmp_path: Path) -> None:
    graph = with_few_bits(import_tflite(spoken(), "spoken"), weights=True, activations=True)
    found = bought(graph, Objective.SRAM, tmp_path)
    weights, activations = found[NarrowKind.WEIGHTS], found[NarrowKind.ACTIVATIONS]
    assert weights.narrow == activations.narrow
    assert weights.wide is not None
    assert activations.wide is not None
    assert weights.wide.constant_bytes > weights.narrow.constant_bytes
    assert activations.wide.arena_bytes > activations.narrow.arena_bytes
    assert kinds_of(in_int8(graph, NarrowKind.WEIGHTS)) == (NarrowKind.ACTIVATIONS,)


def test_activations_that_lose_are_left_in_8_bits_by_a_search(tmp_path: Path) -> None:
    path, samples = tmp_path / "spoken.tflite", tmp_path / "c.npz"
    path.write_bytes(spoken())
    np.savez(samples, x=np.random.default_rng(0).normal(size=(16, 14, 8, 1)).astype(np.float32))
    search = SearchOptions(SearchKind.SENSITIVITY, weights=Weights.INT8, reduce=1.2, unit=Unit.BITOPS)
    quantize = QuantizeOptions(Method.FAST, samples, search=search)
    apart = ("fuse-depthwise",)  # in 8 bits one kernel for two layers takes more bytes
    options = CompileOptions(objective=Objective.LATENCY, quantize=quantize, disabled_passes=apart)
    report = compile_model(path, "stm32l4r5zi", tmp_path / "out", options)
    (row,) = report["narrow"]
    larger = row["arena_bytes"] + row["constant_bytes"] > row["arena_bytes_in_int8"] + row["constant_bytes_in_int8"]
    slower = row["cycles_estimate"] > row["cycles_estimate_in_int8"]
    assert row["kind"] == "activations"
    assert row["rejected"] is (larger and slower)
    assert row["rejected"]
    assert report["narrow_tensors"] == []
    assert "quantization" not in report
