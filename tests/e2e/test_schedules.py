"""Schedules from the command line to the chip: equal bytes under every one of them, and a report that says what ran."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import thimble
from tests.models.branched import build_squeeze_excite, build_u_net
from tests.models.mobilenet_v2 import Block, Network, build_network
from tests.tflite_builder import ModelBuilder
from thimble.compiler.driver.build_folder import open_build
from thimble.compiler.driver.html_report import render_html
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.stages import compile_model
from thimble.compiler.ir.errors import DoesNotFit, UsageError
from thimble.compiler.plan.options import Objective

TARGET = "stm32l4r5zi"
SIZE = 16
Report = dict[str, Any]
MODELS = {
    "squeeze_excite": lambda: build_squeeze_excite(SIZE),
    "squeeze_excite_conv": lambda: build_squeeze_excite(SIZE, connected=False),
    "u_net": lambda: build_u_net(SIZE, depth=2),
    "residuals": lambda: build_network(RESIDUALS),
}
IMAGE = 48
RESIDUALS = Network(IMAGE, 8, (Block(0, 3, 1, 8), Block(48, 5, 2, 8), Block(48, 3, 1, 8)), 32, 10)
SCHEDULES = ("layer", "rows", "patch", "auto")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    for name, build in MODELS.items():
        (folder / f"{name}.tflite").write_bytes(build())
    return {name: folder / f"{name}.tflite" for name in MODELS}


def compiled(model: Path, out: Path, **options: Any) -> Report:
    return thimble.compile(model, TARGET, out, plan_time_s=0.0, **options)


@pytest.mark.parametrize("feed", ["resident", "rows"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", MODELS)
def test_equal_bytes_on_the_host(name: str, schedule: str, feed: str, models: dict[str, Path], tmp_path: Path) -> None:
    compiled(models[name], tmp_path / "out", schedule=schedule, input=feed, objective="sram")
    report = thimble.verify(tmp_path / "out", on="host", samples=3)
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]
    assert (report["build"]["schedule"], report["build"]["input"]) == (schedule, feed)


@pytest.fixture(scope="module")
def streamed(models: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network of residual blocks by rows, its input too, measured on the chip."""
    out = tmp_path_factory.mktemp("streamed") / "out"
    compiled(models["residuals"], out, schedule="rows", input="rows")
    thimble.profile(out)
    return out


def test_equal_bytes_on_the_chip(streamed: Path) -> None:
    report = thimble.verify(streamed, samples=3)
    assert [r["runtime"] for r in report["verify"]["runtimes"]] == ["integer reference", "host", "target"]
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]


def test_rows_take_less_than_layers_and_compute_nothing_twice(
    streamed: Path, models: dict[str, Path], tmp_path: Path
) -> None:
    layers = compiled(models["residuals"], tmp_path / "layers", schedule="layer")
    report = open_build(streamed).report
    memory = report["memory"]
    assert memory["arena_bytes"] < layers["memory"]["arena_bytes"]
    assert memory["io_bytes"] < layers["memory"]["io_bytes"] == IMAGE * IMAGE * 3 + 10
    assert report["model"]["macs_executed"] == report["model"]["macs"]
    assert memory["arena_bound_bytes"] <= memory["arena_bytes"] < memory["sram_total_bytes"]


def test_the_report_explains_the_schedule(streamed: Path) -> None:
    build = open_build(streamed)
    memory = build.report["memory"]
    assert len(memory["schedule"]) == memory["steps"] > len(build.graph.nodes)
    rows_read = sum(end - first for layer, first, end in memory["schedule"] if layer is None)
    assert rows_read == IMAGE
    for buffer in memory["buffers"]:
        assert 0 <= buffer["offset"] <= buffer["offset"] + buffer["bytes"] <= memory["arena_bytes"]
        assert 0 <= buffer["first_step"] <= buffer["last_step"] < memory["steps"]
        if buffer["row"] is not None:
            assert buffer["bytes"] >= memory["tiles"][buffer["tile"]]["row_bytes"]
    assert memory["schedule"][memory["peak_step"]][0] == memory["peak_layer"]


def test_cycles_of_all_calls_of_a_layer_are_counted(streamed: Path) -> None:
    report = open_build(streamed).report
    first = report["layers"][0]
    assert first["calls"] > 1
    assert first["macs"] / first["cycles"] < 2  # of all rows; one call alone would seem far faster
    together = sum(layer["cycles"] for layer in report["layers"])
    assert 0.95 * report["latency"]["cycles"] < together <= report["latency"]["cycles"]


def test_the_page_shows_tensors_and_stays_small(streamed: Path) -> None:
    page = render_html(open_build(streamed).report)
    assert "streams by rows" in page
    assert "reading the input" in page
    assert len(page) < 300_000


def test_the_report_is_readable_text(streamed: Path) -> None:
    text = (streamed / "report.json").read_text()
    assert json.loads(text) == open_build(streamed).report
    assert max(map(len, text.splitlines())) < 2_000


@pytest.mark.parametrize("feed", ["resident", "rows"])
def test_what_would_help_is_told_in_bytes(feed: str, models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(DoesNotFit) as caught:
        compiled(models["u_net"], tmp_path / "out", schedule="layer", input=feed, max_sram_bytes=1_000)
    message = str(caught.value)
    assert f"{caught.value.need_bytes - 1_000} more than the 1000 bytes asked for" in message
    assert re.search(r"the peak is at layer \d+ \(\w+", message)
    offers = re.findall(r"(\d+) bytes with (--schedule \w+ --objective sram(?: --input rows)?)", message)
    assert offers
    sizes = [int(size) for size, _ in offers]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] < caught.value.need_bytes
    flags = offers[-1][1].split()
    options = {flags[i].removeprefix("--"): flags[i + 1] for i in range(0, len(flags), 2)}
    report = compiled(models["u_net"], tmp_path / "smaller", **options)
    assert report["memory"]["arena_bytes"] == sizes[-1]


def test_stack_and_static_ram_are_made_room_for(models: dict[str, Path], tmp_path: Path) -> None:
    whole = compiled(models["u_net"], tmp_path / "whole", objective="latency")["memory"]
    said: list[str] = []
    limit = whole["arena_bytes"] + 8
    options = CompileOptions(objective=Objective.LATENCY, max_sram_bytes=limit, plan_time_s=0.0)
    report = compile_model(models["u_net"], TARGET, tmp_path / "tight", options, said.append)
    assert any("Planning again" in line for line in said)
    assert report["memory"]["sram_total_bytes"] <= limit < whole["sram_total_bytes"]
    assert thimble.verify(tmp_path / "tight", on="host", samples=2)["verify"]["mismatched_values"] == 0


@pytest.mark.parametrize("field", ["schedule", "objective", "input", "io"])
def test_an_unknown_choice_is_refused(field: str, models: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"{field} cannot be 'best'; it is one of: "):
        compiled(models["u_net"], tmp_path / "out", **{field: "best"})


def test_an_input_without_rows_cannot_come_by_rows(tmp_path: Path) -> None:
    m = ModelBuilder()
    x, y = m.tensor((1, 4), scale=0.05, name="features"), m.tensor((1, 3), scale=0.1)
    w = m.tensor((3, 4), scale=0.02, data=range(12))
    m.op("FULLY_CONNECTED", [x, w, -1], [y], "FullyConnectedOptions")
    m.interface([x], [y])
    (tmp_path / "small.tflite").write_bytes(m.build())
    with pytest.raises(UsageError, match=r"more than one row .*'features' is \(1, 4\) int8"):
        compiled(tmp_path / "small.tflite", tmp_path / "out", input="rows")
    assert not (tmp_path / "out").exists()
