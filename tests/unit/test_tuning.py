"""Tuning: never slower than the default, measured once, the same every time; its cache is no trap."""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import thimble
from tests.models.calibrated import CalibratedBuilder
from thimble.codegen.candidates import candidate_key, layer_candidates
from thimble.codegen.kernels import KernelSettings, choose_kernels, kernels_by_limit
from thimble.codegen.tuned import Measured, TunedKernels, kernel_stem
from thimble.codegen.variants import DEFAULT, Variant, first_made
from thimble.compiler.driver import ram_cache, tuned_cache, tuning
from thimble.compiler.driver.build_folder import import_model, open_build
from thimble.compiler.driver.html_report import repeat_commands
from thimble.compiler.driver.kernel_choice import kernel_choices
from thimble.compiler.driver.layer_bench import measure_graph
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.ir.errors import ThimbleError
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import KernelCall, Rounding, Scratch
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.targets.model import Target, load_target

BOARD = load_target("stm32l4r5zi")
TFLM = Rounding.TFLM
SHIPPED = tuned_cache.SHIPPED


def small_model() -> bytes:
    """A layer of each operator that has a choice of kernels."""
    g = CalibratedBuilder(3)
    x = g.conv(g.input(1, 12, 12, 3), 8, 3, 2)
    x = g.conv(g.depthwise(x), 16)
    return g.finish(g.connected(g.mean(x), 10))


def small_network() -> Graph:
    """The graph of that model."""
    return import_model(small_model(), Path("small.tflite"))


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without measurements, and nothing that ships."""
    monkeypatch.setattr(tuned_cache, "user_file", lambda: tmp_path / "cache" / "tuned.json")
    monkeypatch.setattr(ram_cache, "user_file", lambda: tmp_path / "cache" / "places.json")
    monkeypatch.setattr(tuned_cache, "SHIPPED", tmp_path / "absent.json")


def kernels_and_cycles(graph: Graph, tuned: TunedKernels, board: Target = BOARD) -> list[tuple[str, int, int]]:
    """Of each node with the kernels of a table: its kernel, the scratch of that, simulated cycles."""
    chosen = choose_kernels(graph, board, KernelSettings(tuned=tuned))
    measured = measure_graph(chosen, tuning.in_fast_ram(plan_layers(chosen, TFLM, 0.0), board), board)
    found = []
    for site, node in zip(chosen.sites, measured.nodes, strict=True):
        call = site.lower(TFLM)[0]
        found.append((call.kernel, call.scratch_bytes, 0 if node is None else node.cycles))
    return found


def test_tuned_kernels_are_not_slower_and_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = small_network()
    tuned = tuning.tune_graph(graph, BOARD, TFLM, by_rows=True)
    assert len(tuned.layers) == 8  # four layers, whole and by rows
    assert all(len(kernels) > 1 for kernels in tuned.layers.values())
    before, after = kernels_and_cycles(graph, TunedKernels()), kernels_and_cycles(graph, tuned)
    others = [pair for pair in zip(before, after, strict=True) if pair[0][:2] != pair[1][:2]]
    assert others  # some layer got another kernel; the same ones may take more where code lies in other cache lines
    assert all(now[2] <= then[2] for then, now in others)
    written = tuned_cache.user_file().read_bytes()
    monkeypatch.setattr(tuning, "measure_graph", None)  # a second run measures nothing
    assert tuning.tune_graph(graph, BOARD, TFLM, by_rows=True) == tuned
    assert tuned_cache.user_file().read_bytes() == written


@pytest.mark.parametrize(("name", "operators"), [("mps3-an547", 2), ("stm32g0b1re", 4)])
def test_other_families_are_tuned_as_well(name: str, operators: int) -> None:
    """Vectors have a choice for convolutions, cores without SIMD instructions for all layers with weights."""
    graph, board = small_network(), load_target(name)
    tuned = tuning.tune_graph(graph, board, TFLM, by_rows=False)
    assert len(tuned.layers) == operators
    assert any(len(kernels) > 1 for kernels in tuned.layers.values())
    before, after = kernels_and_cycles(graph, TunedKernels(), board), kernels_and_cycles(graph, tuned, board)
    changed = [pair for pair in zip(before, after, strict=True) if pair[0][:2] != pair[1][:2]]
    assert all(now[2] <= then[2] for then, now in changed)


def test_planner_prices_kernels_by_what_was_measured() -> None:
    graph = small_network()
    tuned = tuning.tune_graph(graph, BOARD, TFLM, by_rows=False)
    choices = kernel_choices(graph, BOARD, CompileOptions(), KernelSettings(tuned=tuned))
    assert choices is not None
    for site, options in zip(graph.sites, choices.whole, strict=True):
        measured = tuned.layers.get(candidate_key(site, BOARD, TFLM, True, False) or "", ())
        best = min((kernel.cycles for kernel in measured), default=0)
        assert not measured or round(options[0].cycles(1.0)) == best


def test_kernels_that_were_not_measured_are_off_by_as_much_as_those_that_were() -> None:
    graph = small_network()
    predicted = kernel_choices(graph, BOARD, CompileOptions(), KernelSettings())
    assert predicted is not None
    layers, measured = {}, []
    for site, options in zip(graph.sites, predicted.whole, strict=True):
        calls = [calls[0] for _, calls in kernels_by_limit(site, BOARD, TFLM, False, KernelSettings())]
        key, stem = candidate_key(site, BOARD, TFLM, True, False), kernel_stem(calls[0])
        if key is not None:
            cycles = round(3 * options[0].cycles(1.0))
            layers[key] = (Measured(DEFAULT, stem, calls[0].scratch_bytes, calls[0].overlaps, cycles),)
        measured.append([key is not None and kernel_stem(call) == stem for call in calls])
    choices = kernel_choices(graph, BOARD, CompileOptions(), KernelSettings(tuned=TunedKernels(layers)))
    assert choices is not None
    assert sum(map(sum, measured)) > 2 * len(layers)
    for alike, before, now in zip(measured, predicted.whole, choices.whole, strict=True):
        for is_alike, then, option in zip(alike, before, now, strict=True):
            assert option.cycles(1.0) == pytest.approx((3 if is_alike else 1) * then.cycles(1.0), rel=1e-3)


def test_builds_keep_what_they_were_tuned_by(tmp_path: Path) -> None:
    model, out = tmp_path / "small.tflite", tmp_path / "out"
    model.write_bytes(small_model())
    report = thimble.compile(model, BOARD.name, out, objective="latency", tune=True)
    assert report["build"]["tune"]
    assert len(report["build"]["tuned"]) == 4
    again = open_build(out)
    for layer, site in zip(report["layers"], again.graph.sites, strict=True):
        assert layer["kernel"] == site.lower(TFLM)[0].kernel
    assert "--tune" in repeat_commands(report)[0]


def test_candidates_begin_with_the_default_and_differ() -> None:
    graph = choose_kernels(small_network(), BOARD)
    for site in graph.sites:
        found = layer_candidates(site, BOARD, TFLM, True)
        if found is not None:
            assert found.kernels[0].variant == DEFAULT
            assert found.kernels[0].call.params == site.lower(TFLM)[0].params
            made = {(c.call.kernel, c.call.params, c.call.scratch_bytes) for c in found.kernels}
            assert len(made) == len(found.kernels)


def call_of(scratch: int, overlaps: bool = True) -> KernelCall:
    """A call that takes so many bytes of scratch."""
    return KernelCall("conv_2d_rows_dsp_x", (), (Scratch(scratch),), overlaps=overlaps)


def table(*kernels: tuple[Variant, int, bool, int]) -> TunedKernels:
    """A table of one layer: variants with scratch, whether they overlap, and cycles."""
    stem = kernel_stem(call_of(0))
    return TunedKernels({"layer": tuple(Measured(v, stem, scratch, over, n) for v, scratch, over, n in kernels)})


FAST, FASTER = Variant("rows", 4), Variant("rows", 8)


@pytest.mark.parametrize(
    ("limit", "default_overlaps", "expected"),
    [(1 << 30, False, 800), (700, False, 400), (300, False, 100), (1 << 30, True, 400)],
)
def test_the_fastest_that_fits_is_chosen(limit: int, default_overlaps: bool, expected: int) -> None:
    known = {FAST: call_of(400), FASTER: call_of(800, overlaps=False)}
    given = table((DEFAULT, 100, True, 1000), (FAST, 400, True, 900), (FASTER, 800, False, 800))
    default = call_of(100, default_overlaps)
    assert given.choose("layer", default, limit, known.get).scratch_bytes == expected


def test_nothing_slower_or_unknown_is_chosen() -> None:
    default = call_of(100)
    slower = table((DEFAULT, 100, True, 1000), (FAST, 400, True, 1000))
    assert slower.choose("layer", default, 1 << 30, lambda v: call_of(400)) is default
    assert slower.choose("another", default, 1 << 30, lambda v: call_of(400)) is default
    unmeasured = table((DEFAULT, 50, True, 1000), (FAST, 400, True, 10))
    assert unmeasured.choose("layer", default, 1 << 30, lambda v: call_of(400)) is default
    other = table((DEFAULT, 100, True, 1000), (FAST, 400, True, 10))
    assert other.choose("layer", default, 1 << 30, lambda v: call_of(500)) is default  # not as it was measured


def test_a_form_that_is_none_is_refused() -> None:
    with pytest.raises(ThimbleError, match="no form 'tiles'"):
        first_made({"rows": lambda: None}, Variant("tiles"))


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', '{"where": {"a": [[1]]}}', '{"where": {"a": 7}}'])
def test_broken_files_hold_nothing(content: str, tmp_path: Path) -> None:
    file = tmp_path / "tuned.json"
    file.write_text(content)
    assert tuned_cache.load(file, "where") == {}


def test_a_cache_that_cannot_be_written_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tuned_cache, "user_file", lambda: tmp_path / "file" / "tuned.json")
    monkeypatch.setattr(tuning._Tuner, "measure", lambda self, site, whole: ())
    said: list[str] = []
    tuned = tuning.tune_graph(small_network(), BOARD, TFLM, by_rows=False, say=said.append)
    assert len(tuned.layers) == 4
    assert len(said) == 1
    assert "not kept" in said[0]


def test_an_interrupted_run_keeps_what_it_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, measured = small_network(), (Measured(DEFAULT, "k", 0, True, 7), Measured(FAST, "k", 8, True, 5))

    def measure(tuner: Any, site: Any, whole: bool) -> tuple[Measured, ...]:
        if site.output().type.shape != (1, 10):
            return measured
        time.sleep(0.5)
        raise KeyboardInterrupt

    monkeypatch.setattr(tuning._Tuner, "measure", measure)
    with pytest.raises(KeyboardInterrupt):
        tuning.tune_graph(graph, BOARD, TFLM, by_rows=False)
    kept = tuned_cache.load(tuned_cache.user_file(), tuned_cache.context(BOARD))
    assert len(kept) == 3
    assert set(kept.values()) == {measured}


def test_runs_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    file, layers = tmp_path / "tuned.json", table((DEFAULT, 100, True, 1000)).layers["layer"]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: tuned_cache.save(file, "chip x", {name: layers}), map(str, range(40))))
    assert len(tuned_cache.load(file, "chip x")) == 40


def test_nothing_stays_of_a_file_that_could_not_be_written(tmp_path: Path) -> None:
    (tmp_path / "tuned.json" / "in the way").mkdir(parents=True)
    with pytest.raises(OSError, match="directory"):
        tuned_cache.save(tmp_path / "tuned.json", "chip x", {})
    assert [path.name for path in tmp_path.iterdir()] == ["tuned.json"]


def test_files_drop_what_older_kernels_took(tmp_path: Path) -> None:
    file = tmp_path / "tuned.json"
    layers = table((DEFAULT, 100, True, 1000)).layers
    for where in ("chip old", "other old", "chip new"):
        tuned_cache.save(file, where, layers)
    tuned_cache.save(file, "chip new", {"second": ()})
    content: dict[str, Any] = json.loads(file.read_text())
    assert sorted(content) == ["chip new", "other old"]
    assert sorted(content["chip new"]) == ["layer", "second"]
    assert tuned_cache.load(file, "other old") == layers


def test_what_ships_is_small_and_whole() -> None:
    content: dict[str, dict[str, Any]] = json.loads(SHIPPED.read_text())
    assert SHIPPED.stat().st_size < 1_000_000
    for where, layers in content.items():
        assert tuned_cache.load(SHIPPED, where).keys() == layers.keys()
        assert any(kernels for kernels in layers.values())


@pytest.mark.full
def test_what_ships_was_measured_with_these_kernels() -> None:
    assert tuned_cache.load(SHIPPED, tuned_cache.context(BOARD)), "kernels have changed: run `make tune-cache`"


def test_other_compilers_and_timings_are_other_contexts() -> None:
    faster = replace(BOARD, name="nrf52840")
    assert tuned_cache.context(BOARD) != tuned_cache.context(faster)
    assert "gcc-" in tuned_cache.context(BOARD)
