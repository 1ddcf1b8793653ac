"""`thimble compile`: the stages from a model file to a build folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thimble.compiler.driver.build_folder import new_build_folder, write_report
from thimble.compiler.driver.build_limits import build_within_limits
from thimble.compiler.driver.build_plan import with_ram
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

FEWER_BITS_ATTEMPTS = 3
"""Searches that may be told anew what a firmware lacks, which only a build knows."""


@dataclass(frozen=True, slots=True)
class _Job:
    """What one call of `compile_model` is about, whatever the options of an attempt, and who hears of its progress."""

    model_path: Path
    target_name: str
    out: Path
    say: Say
    show: ShowProgress
    track: Progress
    attempts: Attempts


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
    options = options or CompileOptions()
    job = _Job(model_path, target_name, out, say, show, track, Attempts())
    for _ in range(FEWER_BITS_ATTEMPTS):
        try:
            return _compile_once(job, options)
        except DoesNotFit as error:
            smaller = with_fewer_bytes(options, error)
            if smaller is None:
                raise
            say(f"Fewer bits: the firmware takes {error.need_bytes} bytes, {error.have_bytes} are allowed")
            options = smaller
    return _compile_once(job, options)


def _compile_once(job: _Job, options: CompileOptions) -> dict[str, Any]:
    say, show = job.say, job.show
    say("Reading the model")
    opened = open_model(job.model_path, job.target_name, options, say, job.track, show, job.attempts)
    limit = sram_limit(opened.target, options)
    say(f"Planning {len(opened.graph.nodes)} layers")
    model, plan = plan_model(opened, limit, show)
    say(plan_text(plan))
    bought = bits_bought(model, plan, limit, show)
    wider = without_lost_bits(options, model, bought)
    if wider is not None:
        for lost in (found for found in bought if found.loses):
            say(f"{lost.text} They are left at 8.")
        report = _compile_once(job, wider)
        report["narrow"] = [found.row(found.loses) for found in bought]
        write_report(job.out, report)
        return report
    check_ram(model.graph, plan, model.target, options)
    check_time(predicted_ms(model), options, "is predicted to take")
    with new_build_folder(job.out) as folder:
        report = build_within_limits(opened, model, plan, folder, say, show)
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
