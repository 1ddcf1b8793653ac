"""The worst case of a firmware whose flags choose between branches: each branch is measured, the dearer ones count."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path
from typing import Any

from thimble.codegen.project import Project
from thimble.compiler.driver.latency import merge_trace, milliseconds
from thimble.targets.build import build_firmware
from thimble.targets.model import Target
from thimble.targets.sim.simulate import simulate, time_limit_s

Report = dict[str, Any]


def merge_worst_case(report: Report, project: Project, target: Target) -> None:
    """Put the worst case into a report's latency, where one inference was measured: `worst_case`.

    The firmware is built twice more, in which all flags count as set or none does, and each runs one inference on
    zeros. The worst case is the first one's cycles, and for each flag what its other branch takes more, if it does; the
    second one's where code and flash make that more.
    """
    if report["latency"]["cycles"] is None:
        return
    every, none = (_measured(report, project, target, answer) for answer in (True, False))
    flags = sorted({layer["guard"]["layer"] for layer in report["layers"] if "guard" in layer})
    branches = [
        {
            "layer": flag,
            "cycles_if_true": _branch_cycles(every, flag, True),
            "cycles_if_false": _branch_cycles(none, flag, False),
        }
        for flag in flags
    ]
    more = sum(max(branch["cycles_if_false"] - branch["cycles_if_true"], 0) for branch in branches)
    cycles = max(every["latency"]["cycles"] + more, none["latency"]["cycles"])
    report["latency"]["worst_case"] = {
        "cycles": cycles,
        "ms": milliseconds(cycles, target.clock_hz),
        "cycles_if_all_true": every["latency"]["cycles"],
        "cycles_if_all_false": none["latency"]["cycles"],
        "branches": branches,
    }


def _measured(report: Report, project: Project, target: Target, answer: bool) -> Report:
    """A copy of the report with what an inference takes where all flags are taken to be `answer`."""
    forced, source = copy.deepcopy(report), f"{project.name}.c"
    define = f"#define {project.name.upper()}_FLAGS {int(answer)}\n"
    with tempfile.TemporaryDirectory() as path:
        folder = Path(path)
        for file, text in project.files.items():
            (folder / file).write_text(define + text if file == source else text, encoding="utf-8")
        elf = build_firmware(folder, target, project.name).sim_elf
        merge_trace(forced, simulate(elf, target, elf.parent, time_limit_s(target, 1), timed=True))
    return forced


def _branch_cycles(report: Report, flag: int, answer: bool) -> int:
    """Cycles of the layers that run where the flag that a layer makes is `answer`."""
    guard = {"layer": flag, "where": answer}
    return sum(layer["cycles"] for layer in report["layers"] if layer.get("guard") == guard)
