"""The table of docs/memory.md: CPU seconds of planning for each MLPerf model, in every form.

`python -m tests.bench.planning [NAME ...]` reads and plans all models, or those named, and writes their rows.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.bench.memory import PAGE
from tests.bench.page import PageTable, model_rows
from thimble.codegen.kernels import KernelFamily
from thimble.compiler.driver.open_model import open_model
from thimble.compiler.driver.options import CompileOptions, InputFeed
from thimble.compiler.driver.plan_model import plan_model
from thimble.compiler.driver.planning import sram_limit
from thimble.compiler.ir.errors import UsageError
from thimble.compiler.plan.options import Objective, Schedule

TARGET = "stm32l4r5zi"
MODELS = ("kws_ref_model_int8", "ic_resnet8_int8", "vww_96_int8", "ad01_int8", "str_ww_ref_model_int8")
OBJECTIVES = (Objective.SRAM, Objective.BALANCED, Objective.LATENCY)
HEAD = """| model | input | kernels | `sram` | `balanced` | `latency` |
|---|---|---|---:|---:|---:|
"""
TABLE = PageTable(PAGE, "planning", HEAD)


def seconds(path: Path, options: CompileOptions) -> float:
    """CPU seconds from the model's file to the checked plan."""
    start = time.process_time()
    model = open_model(path, TARGET, options)
    plan_model(model, sram_limit(model.target, options))
    return time.process_time() - start


def row(path: Path, feed: InputFeed, kernels: KernelFamily) -> str | None:
    """The cells of one model: each schedule under each objective. None where its input cannot come so."""
    cells = []
    try:
        for objective in OBJECTIVES:
            asked = [CompileOptions(input=feed, kernels=kernels, objective=objective, schedule=s) for s in Schedule]
            cells.append(" / ".join(f"{seconds(path, options):.1f}" for options in asked))
    except UsageError:
        return None
    return f"| {path.stem} | {feed.value} | {kernels.value} | {' | '.join(cells)} |"


def rows(path: Path) -> Iterator[str]:
    """The rows of one model."""
    seconds(path, CompileOptions())  # what is read and made once in a process is start-up
    found = (row(path, feed, kernels) for kernels in KernelFamily for feed in InputFeed)
    yield from (line for line in found if line is not None)


def main(names: list[str]) -> None:
    """Measure, and write the rows into the page; rows of models that are not measured stay."""
    TABLE.update((model_rows(f"mlperf_tiny/{name}", rows) for name in MODELS), names)


if __name__ == "__main__":
    main(sys.argv[1:])
