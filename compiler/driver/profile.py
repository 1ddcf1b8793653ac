"""`thimble profile` and `thimble simulate`: where the cycles go."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from thimble.compiler.driver.build_folder import open_build, write_report
from thimble.compiler.driver.latency import merge_trace
from thimble.compiler.driver.run import Say, open_samples, run_target
from thimble.compiler.ir.errors import ThimbleError, UsageError
from thimble.targets.model import load_target
from thimble.targets.sim.arm_timing.request import TraceRange
from thimble.targets.sim.simulate import at_addresses_of, simulate
from thimble.targets.sim.trace import Trace


def profile_build(
    folder: Path, data: Path | None = None, limit: int | None = None, say: Say = lambda _: None
) -> dict[str, Any]:
    """Run `limit` samples (1 by default; random inputs where there is no data) with cycles counted; the report.

    Raises ThimbleError where the simulator counts no cycles for this target.
    """
    build = open_build(folder)
    samples = open_samples(build, data, limit or 1)
    say(f"Running {len(samples)} samples on the simulated {build.target.name}, cycles counted")
    _, trace = run_target(build, samples, timed=True)
    if trace.cycles is None:
        raise ThimbleError(f"The simulator of {build.target.name} counts no cycles.")
    merge_trace(build.report, trace)
    write_report(folder, build.report)
    return build.report


def compare_builds(ours: dict[str, Any], other: Path) -> dict[str, Any]:
    """Two reports layer by layer: rows pair equal indices; a layer that only one build has stands alone."""
    theirs = open_build(other).report
    if theirs["latency"]["cycles"] is None:
        raise UsageError(f"{other} has no cycles yet; run `thimble profile {other}` first.")
    rows = []
    for index in range(max(len(ours["layers"]), len(theirs["layers"]))):
        pair = [report["layers"][index] if index < len(report["layers"]) else None for report in (ours, theirs)]
        rows.append({"index": index, "this": pair[0], "other": pair[1]})
    return {
        "this": {"name": ours["model"]["name"], "target": ours["target"]["name"], "latency": ours["latency"]},
        "other": {"name": theirs["model"]["name"], "target": theirs["target"]["name"], "latency": theirs["latency"]},
        "layers": rows,
    }


def parse_range(text: str, out: Path) -> TraceRange:
    """LOW:HIGH, addresses in C notation, as the range of a trace that goes to `out`. Raises UsageError."""
    try:
        low, high = (int(part, 0) for part in text.split(":"))
    except ValueError as error:
        raise UsageError(f"'{text}' is no address range: write it as 0x8000100:0x8000200.") from error
    if not 0 <= low < high <= 1 << 32:
        raise UsageError(f"'{text}' is no address range: the first address must be below the second.")
    return TraceRange(low, high, out)


def simulate_elf(elf: Path, target_name: str, trace: TraceRange | None = None) -> Trace:
    """Run any ELF on a target's simulator, cycles counted; the files that it opens lie in a fresh folder."""
    if not elf.is_file():
        raise UsageError(f"{elf}: there is no such file.")
    with tempfile.TemporaryDirectory() as folder:
        target = at_addresses_of(elf, load_target(target_name))
        return simulate(elf, target, Path(folder), timed=True, trace=trace)
