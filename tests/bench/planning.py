"""The table of docs/memory.md: CPU seconds of planning for each MLPerf model, in every form.

`python -m tests.bench.planning [NAME ...]` reads and plans all models, or those named, and writes their rows.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from rich.console import Console

from tests.bench.memory import PAGE
from tests.bench.models import model_file
from tests.bench.page import PageTable
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


def main(names: list[str]) -> None:
    """Measure, and write the rows into the page; rows of models that are not measured stay."""
    console = Console()
    lines: list[str] = []
    for name in MODELS:
        path = model_file(f"mlperf_tiny/{name}")
        known = TABLE.lines_of(path.stem)
        asked = not names or any(part in name for part in names)
        if asked and not path.is_file():
            console.print(f"{path} is not here: its rows stay.")
        elif asked:
            seconds(path, CompileOptions())  # what is read and made once in a process is start-up
            found = [row(path, feed, kernels) for kernels in KernelFamily for feed in InputFeed]
            known = [line for line in found if line is not None]
            console.print(*known, sep="\n", soft_wrap=True)
        lines += known
    TABLE.write(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
