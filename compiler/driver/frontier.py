"""`thimble analyze --frontier`: what each byte of SRAM costs in cycles, every plan built and simulated."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from thimble.compiler.driver.build_plan import build_plan
from thimble.compiler.driver.frontier_chart import draw_frontier
from thimble.compiler.driver.kernel_choice import kernel_choices
from thimble.compiler.driver.memory_report import macs_executed
from thimble.compiler.driver.open_model import Model, open_model
from thimble.compiler.driver.options import CompileOptions, Regions
from thimble.compiler.driver.planning import Progress, ShowProgress, plan_options, silent, sram_limit
from thimble.compiler.driver.rendering import render
from thimble.compiler.ir.errors import ThimbleError, UsageError
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import frontier, kernel_frontier

BUILDS_AT_ONCE = 2

Track = Callable[[Iterable[Any], str, int], Iterable[Any]]


@dataclass(frozen=True, slots=True)
class Point:
    """A plan as it ran on the simulated chip: one inference on zeros. `sram_total_bytes` is the arena and all else."""

    arena_bytes: int
    sram_total_bytes: int
    cycles: int
    ms: float
    macs_executed: int
    mac_factor: float
    steps: int
    fits: bool


def measure_frontier(
    model_path: Path,
    target_name: str,
    options: CompileOptions | None = None,
    track: Track = lambda items, what, count: items,
    show: ShowProgress = silent,
) -> dict[str, Any]:
    """All plans of a model of which none has both more bytes and more cycles than another, by falling bytes.

    Raises ThimbleError where the target's simulator counts no cycles.
    """
    model = open_model(model_path, target_name, options or CompileOptions())
    limit = sram_limit(model.target, replace(model.options, regions=Regions.ONE))
    with show() as progress:
        plans = list(plans_of(model, progress))
    with ThreadPoolExecutor(BUILDS_AT_ONCE) as pool:
        ran = pool.map(lambda made: run_plan(made[0], made[1], limit), plans)
        points = list(track(ran, "Simulating", len(plans)))
    return {
        "model": model.graph.name,
        "target": model.target.name,
        "input": model.options.input.value,
        "io": model.options.io.value,
        "macs": model.graph.macs,
        "limit_bytes": limit,
        "ram_bytes": model.target.ram_bytes,
        "points": [asdict(point) for point in undominated(points)],
    }


def plans_of(model: Model, progress: Progress) -> Iterator[tuple[Model, Plan]]:
    """The plans of a frontier, each with the model that has the kernels it is for."""
    choices = kernel_choices(model.plain, model.target, model.options, model.settings)
    asked = plan_options(model.options, None, progress)
    if choices is None:
        yield from ((model, point.plan) for point in frontier(model.plain, model.options.rounding, asked))
        return
    for made in kernel_frontier(model.plain, choices, model.options.rounding, asked):
        yield replace(model, graph=made.graph, kernel_limits=made.kernel_limits), made.plan


def run_plan(model: Model, plan: Plan, limit_bytes: int) -> Point:
    """Build and simulate one plan."""
    check_plan(model.graph, plan)
    with tempfile.TemporaryDirectory() as name:
        report = build_plan(model, plan, Path(name), lambda _: None)
    latency, sram = report["latency"], report["memory"]["sram_total_bytes"]
    if latency["cycles"] is None:
        raise ThimbleError(f"The simulator of {model.target.name} counts no cycles, so there is no frontier.")
    executed = macs_executed(model.graph, plan)
    return Point(
        arena_bytes=plan.arena_bytes,
        sram_total_bytes=sram,
        cycles=latency["cycles"],
        ms=latency["ms"],
        macs_executed=executed,
        mac_factor=round(executed / max(model.graph.macs, 1), 4),
        steps=len(plan.steps),
        fits=sram <= limit_bytes,
    )


def undominated(points: Iterable[Point]) -> list[Point]:
    """The points than which no other is at least as good in bytes and cycles, by falling bytes; of equals one."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda p: (p.arena_bytes, p.cycles)):
        if not kept or point.cycles < kept[-1].cycles:
            kept.append(point)
    return kept[::-1]


def write_svg(result: dict[str, Any], path: Path) -> None:
    """Draw a frontier into a file that stands alone. Raises UsageError where it cannot be written."""
    text = render("frontier.svg.j2", {}, chart=draw_frontier(result))
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error
