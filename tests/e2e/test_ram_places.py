"""`--tune` puts constants and code in RAM where that was measured to save cycles: equal bytes, within limits, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import thimble
from tests.models.branched import build_u_net
from thimble.compiler.driver import build_plan, ram_cache, ram_costs, stages, tuned_cache
from thimble.compiler.driver.build_folder import open_build
from thimble.compiler.driver.html_report import render_html
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.ram_costs import RamCosts
from thimble.compiler.driver.ram_items import Item
from thimble.compiler.driver.tables import in_ram_table
from thimble.compiler.plan.options import Objective, Schedule
from thimble.targets.elf import read_sizes

CHIPS = {"stm32l4r5zi": 0x1000_0000, "nrf52840": 0x0080_0000, "stm32h743zi": 0x0000_0000, "stm32g0b1re": 0x2000_0000}
"""Chips, and where each fetches the code that was copied."""

SOONER = ("stm32l4r5zi", "stm32g0b1re")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "u_net.tflite"
    path.write_bytes(build_u_net(8, 2))
    return path


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user without measurements."""
    monkeypatch.setattr(tuned_cache, "user_file", lambda: tmp_path / "cache" / "tuned.json")
    monkeypatch.setattr(ram_cache, "user_file", lambda: tmp_path / "cache" / "places.json")


def tuned(model: Path, chip: str, out: Path, **options: Any) -> dict[str, Any]:
    """A build with what was measured."""
    return thimble.compile(model, chip, out, tune=True, **{"objective": "latency", "schedule": "layer"} | options)


@pytest.mark.parametrize("chip", [pytest.param(c, marks=[pytest.mark.full] * (c not in SOONER)) for c in CHIPS])
def test_weights_and_code_in_ram(chip: str, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = tuned(model, chip, tmp_path / "out")
    memory, in_ram = report["memory"], report["in_ram"]
    assert {item["kind"] for item in in_ram["items"]} == {"weights", "code"}
    assert all(item["cycles"] > 0 for item in in_ram["items"])
    assert report["latency"]["cycles"] < in_ram["cycles_in_flash"]
    asked = {kind: sum(i["bytes"] for i in in_ram["items"] if i["kind"] == kind) for kind in ("weights", "code")}
    assert asked["weights"] - 8 <= memory["fast_weights_bytes"] <= asked["weights"]
    assert 0 < memory["fast_code_bytes"] <= asked["code"]
    check_addresses(tmp_path / "out", chip)
    assert in_ram_table(report).row_count == len(in_ram["items"])
    assert "copied from flash" in render_html(report)
    verified = thimble.verify(tmp_path / "out", samples=2)
    assert verified["verify"]["mismatched_values"] == 0

    monkeypatch.setattr(ram_costs, "measure_project", None)  # a second build measures nothing
    again = tuned(model, chip, tmp_path / "again")
    assert again["in_ram"] == in_ram
    assert again["latency"]["cycles"] == report["latency"]["cycles"]


def check_addresses(out: Path, chip: str) -> None:
    """Code and constants of the chip's image lie in its RAM, apart from each other and from the arena."""
    build = open_build(out)
    sizes = read_sizes(build.chip_elf)
    fast, code = build.target.fast_ram, build.target.code_ram
    assert code is not None
    names = {name for item in build.report["in_ram"]["items"] if item["kind"] == "weights" for name in item["names"]}
    constants = [s for s in sizes.symbols if s.name in names]
    assert len(constants) == len(names)
    assert all(fast.origin <= s.address and s.address + s.bytes <= fast.end for s in constants)
    functions = [s for s in sizes.symbols if s.kind == "function" and s.section == ".fast_code"]
    assert functions
    assert all(CHIPS[chip] <= s.address and s.address + s.bytes <= CHIPS[chip] + code.bytes for s in functions)
    begin = code.origin + min(s.address for s in functions) - CHIPS[chip]  # where data would have these bytes
    end = begin + sizes.fast_code_bytes
    data = [s for s in sizes.symbols if s.section.startswith((".bss", ".data", ".fast_weights", ".stack")) and s.bytes]
    assert all(s.address + s.bytes <= begin or end <= s.address for s in data)


def test_no_more_ram_than_allowed(model: Path, tmp_path: Path) -> None:
    free = tuned(model, "stm32l4r5zi", tmp_path / "free")
    plain = tuned(model, "stm32l4r5zi", tmp_path / "plain", fast_weights_bytes=0)
    assert plain["in_ram"]["items"] == []
    assert plain["memory"]["fast_weights_bytes"] == plain["memory"]["fast_code_bytes"] == 0
    limit = (plain["memory"]["sram_total_bytes"] + free["memory"]["sram_total_bytes"]) // 2
    tight = tuned(model, "stm32l4r5zi", tmp_path / "tight", max_sram_bytes=limit)
    assert tight["in_ram"]["items"]
    assert tight["memory"]["sram_total_bytes"] <= limit
    assert free["latency"]["cycles"] < tight["latency"]["cycles"] < plain["latency"]["cycles"]
    some = tuned(model, "stm32l4r5zi", tmp_path / "some", fast_weights_bytes=2048)
    assert 0 < some["memory"]["sram_total_bytes"] - plain["memory"]["sram_total_bytes"] <= 2048


@pytest.mark.parametrize("objective", ["balanced", "sram"])
def test_other_objectives_take_no_ram_unless_asked(objective: str, model: Path, tmp_path: Path) -> None:
    report = tuned(model, "stm32l4r5zi", tmp_path / "out", objective=objective)
    assert report["in_ram"] == {"cycles_in_flash": None, "items": []}
    asked = tuned(model, "stm32l4r5zi", tmp_path / "asked", objective=objective, fast_weights_bytes=2048)
    assert asked["in_ram"]["items"]
    assert asked["latency"]["cycles"] < report["latency"]["cycles"]
    assert asked["memory"]["arena_bytes"] == report["memory"]["arena_bytes"]


def test_what_saves_nothing_after_all_stays_in_flash(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Layers are measured with other code and constants in RAM than are chosen in the end."""
    plain = tuned(model, "stm32l4r5zi", tmp_path / "plain", fast_weights_bytes=0)
    cycles, said = plain["latency"]["cycles"], []

    def wrong(make: Any, graph: Any, target: Any, say: Any) -> RamCosts:
        return RamCosts(cycles // 2, 6000, 500, ((Item("code", (0,), {"thimble_softmax_s8.c": 500}), 9000),))

    monkeypatch.setattr(build_plan, "measure_costs", wrong)
    options = CompileOptions(objective=Objective.LATENCY, schedule=Schedule.LAYER, tune=True)
    report = stages.compile_model(model, "stm32l4r5zi", tmp_path / "out", options, said.append)
    assert any("they stay there" in line for line in said)
    assert report["in_ram"]["items"] == []
    assert report["latency"]["cycles"] == cycles
