"""From a plan to a firmware that was built and measured, and its report."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from thimble.compiler.driver.build_folder import MODEL_FILE, empty_folder, keep_float_model
from thimble.compiler.driver.latency import merge_trace
from thimble.compiler.driver.open_model import Model, Say
from thimble.compiler.driver.ram_choice import choose_for_ram
from thimble.compiler.driver.ram_costs import measure_costs
from thimble.compiler.driver.ram_items import NOTHING_IN_RAM, InRam, in_ram_text
from thimble.compiler.driver.report import build_report
from thimble.compiler.driver.worst_case import merge_worst_case
from thimble.compiler.ir.errors import ToolMissing
from thimble.compiler.plan.plan import Plan
from thimble.targets.build import build_firmware
from thimble.targets.elf import read_sizes
from thimble.targets.model import Target
from thimble.targets.sim.simulate import simulate, time_limit_s


def build_plan(model: Model, plan: Plan, folder: Path, say: Say) -> dict[str, Any]:
    """Generate and build a plan's firmware in an empty folder, and measure it; the report."""
    say("Generating C")
    project = model.project(plan)
    for file, text in project.files.items():
        (folder / file).write_text(text, encoding="utf-8")
    (folder / f"{MODEL_FILE}.{model.source_format}").write_bytes(model.data)
    say(f"Building the firmware for {model.target.name}")
    images = build_firmware(folder, model.target, model.name)
    report = build_report(model, plan, project, read_sizes(images.chip_elf))
    if model.origin is not None:
        keep_float_model(folder, report, model.origin.data, model.origin.path)
        report["quantization"] = model.origin.figures
    say(f"Measuring one inference on the simulated {model.target.name}")
    measure(report, images.sim_elf, model.target, say)
    if plan.guards:
        say("Measuring both branches of all flags")
        merge_worst_case(report, project, model.target)
    return report


def build_in_ram(model: Model, plan: Plan, folder: Path, say: Say) -> dict[str, Any]:
    """Build a plan's firmware with those constants and kernels in RAM that were measured to be worth it; the report."""
    model = with_ram(model, plan, say)
    report, in_flash = build_plan(model, plan, folder, say), model.in_ram.cycles_in_flash
    cycles = report["latency"]["cycles"]
    if model.in_ram.items and in_flash is not None and (cycles is None or cycles >= in_flash):
        say(f"Weights and code in RAM take {cycles} cycles, in flash {in_flash}: they stay there")
        empty_folder(folder)
        report = build_plan(replace(model, in_ram=InRam((), in_flash)), plan, folder, say)
    return report


def with_ram(model: Model, plan: Plan, say: Say = lambda _: None) -> Model:
    """The model with what is to lie in RAM beside a plan's arena, measured where the options say so."""
    if not model.options.measures_ram:
        return replace(model, in_ram=NOTHING_IN_RAM)
    say("Measuring weights and code in RAM")
    costs = measure_costs(lambda places: model.project_with(places, plan), model.graph, model.target, say)
    model = replace(model, in_ram=choose_for_ram(costs, plan, model.target, model.options))
    say(in_ram_text(model.in_ram))
    return model


def measure(report: dict[str, Any], sim_elf: Path, target: Target, say: Say) -> None:
    """Merge stack and cycles of one inference on zeros into a report.

    What a missing tool keeps from being measured is said aloud and stays None: it never becomes a guess.
    """
    try:
        trace = simulate(sim_elf, target, sim_elf.parent, time_limit_s(target, 1), timed=True)
    except ToolMissing as error:
        say(f"Stack and cycles not measured: {error}")
        return
    merge_trace(report, trace)
