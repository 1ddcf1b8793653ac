"""Arenas over several memories and constants in RAM: equal bytes, and everything lies where the report says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

import thimble
from tests.graphs import read_graph
from tests.models.branched import build_u_net
from tests.small_chip import use_small_chip
from thimble.codegen.project import HOST_CFLAGS, generate_sources, render_trace_main
from thimble.compiler.driver.build_folder import open_build
from thimble.compiler.driver.html_report import render_html
from thimble.compiler.driver.options import CompileOptions, Regions
from thimble.compiler.driver.planning import make_plan
from thimble.compiler.ir.errors import DoesNotFit
from thimble.compiler.ops.executor import Executor
from thimble.targets.elf import read_sizes
from thimble.targets.model import load_target

REST = 4608
"""What the planner leaves of the main RAM to stack and variables."""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "u_net.tflite"
    path.write_bytes(build_u_net(16, 2))
    return path


@pytest.fixture
def need(model: Path) -> int:
    """Bytes of the model's arena in one block, layer by layer."""
    return int(thimble.analyze(model, "stm32l4r5zi", schedule="layer")["arena_bytes"])


def test_a_model_that_only_fits_over_two_memories(
    model: Path, need: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chip = use_small_chip(monkeypatch, tmp_path / "chips", need * 3 // 4 // 16 * 16 + REST, need // 2 // 16 * 16)
    with pytest.raises(DoesNotFit):
        thimble.compile(model, chip, tmp_path / "one", schedule="layer", regions="one")
    thimble.compile(model, chip, tmp_path / "out", schedule="layer")
    report = thimble.verify(tmp_path / "out", samples=3)
    assert [r["runtime"] for r in report["verify"]["runtimes"]] == ["integer reference", "host", "target"]
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]
    check_places(tmp_path / "out", {"tcm": need // 2, "sram": need * 3 // 4})
    text = render_html(open_build(tmp_path / "out").report)
    assert "tcm" in text
    assert "sram" in text


def check_places(out: Path, sizes: dict[str, int]) -> None:
    """The report's regions lie in the chip's memories, in the image for the chip and in the simulator's."""
    build = open_build(out)
    memory, target = build.report["memory"], build.target
    regions = {region["name"]: region for region in memory["regions"]}
    assert regions.keys() == sizes.keys()
    assert memory["arena_bytes"] == sum(region["bytes"] for region in regions.values())
    assert memory["static_ram_bytes"] < 64
    assert memory["sram_total_bytes"] == memory["arena_bytes"] + memory["static_ram_bytes"] + memory["stack_bytes"]
    symbols = {s.name: s for s in read_sizes(build.chip_elf).symbols}
    for name, region in regions.items():
        place = next(m for m in target.memories if m.name == region["memory"])
        array = symbols[f"arena_{name}"]
        assert place.origin <= array.address <= array.address + array.bytes <= place.end
        assert array.bytes == region["bytes"] <= sizes[name]
    for buffer in memory["buffers"]:
        assert 0 <= buffer["offset"] <= buffer["offset"] + buffer["bytes"] <= regions[buffer["region"]]["bytes"]
    assert not [
        s for s in build.report["flash_symbols"] if s["name"].startswith("arena_")
    ]  # the struct of pointers does


@pytest.mark.parametrize("feed", ["resident", "rows"])
def test_rows_over_two_memories(feed: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = {"schedule": "rows", "objective": "latency", "input": feed, "plan_time_s": 0.0}
    chip = use_small_chip(monkeypatch, tmp_path / "chips", 1 << 16, 2048)
    thimble.compile(model, chip, tmp_path / "out", **rows)
    report = thimble.verify(tmp_path / "out", samples=2)
    assert report["verify"]["mismatched_values"] == 0, report["verify"]["first_mismatch"]
    assert {region["memory"] for region in report["memory"]["regions"]} == {"tcm", "sram"}


def test_layers_over_two_memories_can_be_traced(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The program that finds a differing layer reads both blocks."""
    use_small_chip(monkeypatch, tmp_path / "chips", 1 << 16, 2048)
    graph = read_graph(model)
    options = CompileOptions(objective="latency")
    plan = make_plan(graph, options, target=load_target("small"))
    assert len(plan.blocks) == 2
    files = generate_sources(graph, plan, "m").files
    main = render_trace_main(graph, plan, "m", options.rounding)
    for file, text in {**files, "trace_main.c": main}.items():
        (tmp_path / file).write_text(text)
    sources = [f for f in files if f.endswith(".c") and f not in ("m.c", "host_main.c")]
    subprocess.run(["cc", *HOST_CFLAGS, "trace_main.c", *sources, "-o", "trace"], cwd=tmp_path, check=True)
    shape = graph.values[graph.inputs[0]].type.shape
    sample = np.random.RandomState(1).randint(-128, 128, shape).astype(np.int8)
    (tmp_path / "inputs.bin").write_bytes(sample.tobytes())
    subprocess.run(["./trace", "inputs.bin", "outputs.bin"], cwd=tmp_path, check=True)
    expected = Executor(graph, options.rounding).trace([sample])
    made = b"".join(expected[v].tobytes() for node in graph.nodes for v in node.outputs)
    assert (tmp_path / "outputs.bin").read_bytes() == made


def test_the_fast_memory_of_a_real_chip(model: Path, tmp_path: Path) -> None:
    """On the Cortex-M55 board every access to the SRAM waits, to the DTCM none."""
    cycles = {}
    for regions in Regions:
        report = thimble.compile(
            model, "mps3-an547", tmp_path / regions.value, objective="latency", regions=regions.value
        )
        cycles[regions] = report["latency"]["cycles"]
        assert report["build"]["regions"] == regions.value
    assert [r["memory"] for r in report["memory"]["regions"]] == ["sram0+sram1"]
    assert cycles[Regions.AUTO] < 0.95 * cycles[Regions.ONE]
    verified = thimble.verify(tmp_path / "auto", samples=2)
    assert verified["memory"]["regions"][0]["memory"] == "dtcm"
    assert verified["verify"]["mismatched_values"] == 0


@pytest.mark.parametrize("chip", ["stm32l4r5zi", "stm32h743zi"])
def test_weights_in_ram(chip: str, model: Path, tmp_path: Path) -> None:
    plain = thimble.compile(model, chip, tmp_path / "plain", schedule="layer")
    fast = thimble.compile(model, chip, tmp_path / "fast", schedule="layer", fast_weights_bytes=4096)
    copied = fast["memory"]["static_ram_bytes"] - plain["memory"]["static_ram_bytes"]
    assert 2048 < copied <= 4096
    assert fast["memory"]["sram_total_bytes"] == plain["memory"]["sram_total_bytes"] + copied
    assert fast["memory"]["weights_bytes"] == plain["memory"]["weights_bytes"]
    assert 0 <= fast["memory"]["flash_total_bytes"] - plain["memory"]["flash_total_bytes"] < 64
    assert fast["latency"]["cycles"] < plain["latency"]["cycles"]
    build = open_build(tmp_path / "fast")
    place = build.target.fast_ram
    inside = [s for s in read_sizes(build.chip_elf).symbols if place.origin <= s.address < place.end and s.bytes]
    assert sum(s.bytes for s in inside if s.name.endswith(("weights", "packed"))) > 1024
    verified = thimble.verify(tmp_path / "fast", samples=2)
    assert verified["verify"]["mismatched_values"] == 0
