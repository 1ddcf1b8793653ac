"""Timed runs: QEMU with the timing plugin, its report as a Trace."""

from __future__ import annotations

import json
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from thimble.compiler.ir.errors import SimulationFailed
from thimble.targets.elf import read_sizes
from thimble.targets.model import Target
from thimble.targets.sim import qemu
from thimble.targets.sim.arm_timing.build import plugin_path
from thimble.targets.sim.arm_timing.layout import memory_model, stack_range
from thimble.targets.sim.arm_timing.request import TimingRequest, TraceRange
from thimble.targets.sim.arm_timing.tables import CoreTable, load_core
from thimble.targets.sim.trace import FunctionCost, Trace


@dataclass(frozen=True, slots=True)
class TimedRun:
    """A plugin session: options for QEMU's command line, and where the report will be."""

    options: tuple[str, ...]
    report: Path


def prepare(request: TimingRequest, scratch: Path) -> TimedRun:
    """Write the plugin's configuration into `scratch` and return how to start QEMU with it.

    Raises ToolMissing where the plugin is to be built and there is no C compiler.
    """
    config, report = scratch / "timing.txt", scratch / "timing.json"
    config.write_text(request.config_text())
    parts = (str(plugin_path()), f"config={config}", f"out={report}")
    # QEMU splits options at commas; one that belongs to a path is doubled.
    arguments = ",".join(part.replace(",", ",,") for part in parts)
    return TimedRun(options=("-plugin", arguments), report=report)


def read_report(path: Path) -> dict[str, Any]:
    """The plugin's report. Raises SimulationFailed where QEMU ended without one."""
    try:
        report: dict[str, Any] = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise SimulationFailed(f"QEMU ended without a timing report: {error}.") from error
    return report


def run(
    elf: Path,
    target: Target,
    workdir: Path,
    timeout_s: float = 600,
    with_memory: bool = True,
    trace: TraceRange | None = None,
) -> Trace:
    """Run a firmware on QEMU as `qemu.run` does, and count its cycles with the timing of the target's core.

    With `with_memory` off, memory takes no time, accesses and stack are not counted, and the run is faster.
    Raises what `qemu.run` raises, and ThimbleError where the target's core has no timing table.
    """
    core = load_core(target.core)
    request = TimingRequest(
        core=core,
        memory=memory_model(target) if with_memory else None,
        functions=read_sizes(elf).symbols,
        stack=stack_range(elf),
        trace=trace,
    )
    with tempfile.TemporaryDirectory(prefix="thimble-timing-") as scratch:
        session = prepare(request, Path(scratch))
        plain = qemu.run(elf, target, workdir, timeout_s, session.options)
        return merge(plain, read_report(session.report), target, core)


def merge(plain: Trace, report: dict[str, Any], target: Target, core: CoreTable) -> Trace:
    """Lay the plugin's report over the Trace of the plain run."""
    regions = report["regions"]
    counted = len(regions) > 1
    stack = report["peak_stack_bytes"]
    timing = target.timing if core.timing == "model" else core.timing
    return replace(
        plain,
        instructions=report["instructions"],
        cycles=report["cycles"],
        functions=tuple(
            FunctionCost(
                f["name"],
                f["calls"],
                f["instructions"],
                f["cycles"],
                f["inclusive_cycles"],
                f["inclusive_instructions"],
            )
            for f in report["functions"]
        ),
        # Firmware that paints its stack has stored to all of it, so its own word comes first.
        peak_stack_bytes=plain.peak_stack_bytes if plain.peak_stack_bytes is not None or stack < 0 else stack,
        loads={r["name"]: r["loads"] for r in regions} if counted else {},
        stores={r["name"]: r["stores"] for r in regions} if counted else {},
        flash_misses=sum(r["fetch_misses"] + r["data_misses"] for r in regions) if counted else None,
        unknown_encodings=tuple(
            f"0x{u['address']:08x}: {u['encoding']} ({u['runs']} times)" for u in report["unknown"]
        ),
        timing=timing,
        timing_error_percent=target.timing_error_percent if timing == "model" else None,
    )
