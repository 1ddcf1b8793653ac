"""The table of docs/memory.md: cycles of schedules beyond layer by layer, as estimated and as simulated.

`python -m tests.bench.schedule_cycles [NAME ...]` plans the frontier of all networks, or of those named,
with the input by rows and nothing computed twice, builds and simulates every point, and writes their rows.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.bench.memory import PAGE
from tests.bench.page import PageTable, model_rows
from thimble.compiler.driver.build_plan import build_plan
from thimble.compiler.driver.open_model import Model, open_model
from thimble.compiler.driver.options import CompileOptions, InputFeed, Io
from thimble.compiler.driver.planning import make_plan, plan_options
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.options import Schedule
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import frontier

TARGET = "stm32l4r5zi"
NETWORKS = (
    "mlperf_tiny/kws_ref_model_int8",
    "mlperf_tiny/ic_resnet8_int8",
    "mlperf_tiny/vww_96_int8",
    "vision/mcunet_vww_int8",
)
HEAD = """| network | bytes | steps | cycles | estimated extra | simulated extra |
|---|---:|---:|---:|---:|---:|
"""
TABLE = PageTable(PAGE, "cycles", HEAD)


def options(schedule: Schedule) -> CompileOptions:
    """The options of all builds of the table."""
    return CompileOptions(io=Io.INT8, input=InputFeed.ROWS, schedule=schedule)


def simulated_cycles(model: Model, plan: Plan) -> int:
    """Cycles of one inference on zeros."""
    check_plan(model.graph, plan)
    with tempfile.TemporaryDirectory() as name:
        cycles = build_plan(model, plan, Path(name), lambda _: None)["latency"]["cycles"]
    if not isinstance(cycles, int):
        raise RuntimeError(f"cycles of {TARGET} were not counted: its simulator is missing")
    return cycles


def rows(path: Path) -> Iterator[str]:
    """The rows of one network: layer by layer, then the frontier."""
    name = path.stem
    model = open_model(path, TARGET, options(Schedule.ROWS))
    layers = make_plan(model.graph, options(Schedule.LAYER))
    base = simulated_cycles(model, layers)
    yield f"| {name} | {layers.arena_bytes:,} | {len(layers.steps)} | {base:,} | layer by layer | |"
    for point in frontier(model.graph, model.options.rounding, plan_options(model.options, None)):
        cycles = simulated_cycles(model, point.plan)
        extra = [f"{100 * part / base:+.2f}%" for part in (point.cycles, cycles - base)]
        yield f"| {name} | {point.arena_bytes:,} | {len(point.plan.steps)} | {cycles:,} | {' | '.join(extra)} |"


def main(names: list[str]) -> None:
    """Measure, and write the rows into the page; rows of networks that are not measured stay."""
    TABLE.update((model_rows(network, rows) for network in NETWORKS), names)


if __name__ == "__main__":
    main(sys.argv[1:])
