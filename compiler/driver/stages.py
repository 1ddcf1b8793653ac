"""`thimble compile`: the stages from a model file to a build folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thimble.compiler.driver.build_folder import empty_folder, new_build_folder, write_report
from thimble.compiler.driver.build_plan import build_in_ram, with_ram
from thimble.compiler.driver.fewer_bits import bits_bought, with_fewer_bytes, without_lost_bits
from thimble.compiler.driver.open_model import Say, open_model, untracked
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.plan_model import plan_model, predicted_ms
from thimble.compiler.driver.planning import (
    ShowProgress,
    check_limits,
    check_ram,
    check_time,
    plan_text,
    silent,
    sram_limit,
)
from thimble.compiler.driver.quantize import Attempts
from thimble.compiler.ir.errors import DoesNotFit
from thimble.quantize.quantizer import Progress

ROOM_ATTEMPTS = 3
"""Plans that may be built to make room for stack and static RAM, which only a build knows."""


def compile_model(
    model_path: Path,
    target_name: str,
    out: Path,
    options: CompileOptions | None = None,
    say: Say = lambda _: None,
    show: ShowProgress = silent,
    track: Progress = untracked,
) -> dict[str, Any]:
    """Model file to build folder; returns its report. `say` gets one line a stage, `show` the progress of planning,
    `track` that of quantizing.

    A float model is quantized first where the options say how: the build then holds the integer model as a TFLite
    file, with which everything behind it works, and the float model beside it, for accuracy to be compared with.
    Where tensors may have fewer bits, they get them until the firmware, code and stack included, is within the flash
    and the SRAM asked for.
    Raises the ThimbleError of whatever stops it; the build folder is then as it was before.
    """
    options, attempts = options or CompileOptions(), Attempts()
    for _ in range(ROOM_ATTEMPTS):
        try:
            return _compile_once(model_path, target_name, out, options, say, show, track, attempts)
        except DoesNotFit as error:
            smaller = with_fewer_bytes(options, error)
            if smaller is None:
                raise
            say(f"Fewer bits: the firmware takes {error.need_bytes} bytes, {error.have_bytes} are allowed")
            options = smaller
    return _compile_once(model_path, target_name, out, options, say, show, track, attempts)


def _compile_once(
    model_path: Path,
    target_name: str,
    out: Path,
    options: CompileOptions,
    say: Say,
    show: ShowProgress,
    track: Progress,
    attempts: Attempts,
) -> dict[str, Any]:
    say("Reading the model")
    model = open_model(model_path, target_name, options, say, track, show, attempts)
    limit = sram_limit(model.target, options)
    say(f"Planning {len(model.graph.nodes)} layers")
    model, plan = plan_model(model, limit, show)
    say(plan_text(plan))
    bought = bits_bought(model, plan, limit, show)
    wider = without_lost_bits(options, model, bought)
    if wider is not None:
        for lost in (found for found in bought if found.loses):
            say(f"{lost.text} They are left at 8.")
        report = _compile_once(model_path, target_name, out, wider, say, show, track, attempts)
        report["narrow"] = [found.row(found.loses) for found in bought]
        write_report(out, report)
        return report
    check_ram(model.graph, plan, model.target, options)
    check_time(predicted_ms(model), options, "is predicted to take")
    with new_build_folder(out) as folder:
        report = build_in_ram(model, plan, folder, say)
        limit = sram_limit(model.target, options, plan)
        for _ in range(ROOM_ATTEMPTS):
            beyond = report["memory"]["sram_total_bytes"] - plan.arena_bytes
            if plan.arena_bytes <= limit - beyond or limit <= beyond:
                break
            say(f"Planning again: stack and static RAM take {beyond} bytes besides the arena")
            model, smaller = plan_model(model, limit - beyond, show)
            if smaller.arena_bytes >= plan.arena_bytes:
                break
            plan = smaller
            limit = sram_limit(model.target, options, plan)
            say(plan_text(plan))
            empty_folder(folder)
            report = build_in_ram(model, plan, folder, say)
        check_limits(report, model.target, options)
        report["narrow"] = [found.row(rejected=False) for found in bought]
        write_report(folder, report)
    return report


def emit(model_path: Path, target_name: str, what: str, options: CompileOptions) -> str:
    """One stage's result as text, for `--emit`: graph, plan or c (all generated files, one behind the other)."""
    from thimble.compiler.driver.printing import print_plan
    from thimble.compiler.ir.printer import print_graph

    model = open_model(model_path, target_name, options)
    if what == "graph":
        return print_graph(model.graph)
    model, plan = plan_model(model, sram_limit(model.target, options))
    if what == "plan":
        return print_plan(model.graph, plan)
    project = with_ram(model, plan).project(plan)
    return "".join(f"/* ==== {file} ==== */\n{text}\n" for file, text in project.files.items())
