"""Every real model in every schedule, on the host and on the simulated chip: bytes, cycles, and values that differ.

`python -m tests.bench.sweep [NAME ...]` goes on where it was stopped; results lie in .cache/sweep.json, by name of the
build. The table of docs/memory.md gets all models of which all builds are there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

import thimble
from tests.bench.memory import PAGE
from tests.bench.models import BOARD, MLPERF_TINY, OTHERS, model_file
from tests.bench.page import PageTable
from tests.shared_data import ROOT
from thimble.compiler.ir.errors import ThimbleError, UsageError

CACHE = ROOT / ".cache" / "sweep.json"
SCHEDULES = ("layer", "rows", "patch", "auto")
FEEDS = ("resident", "rows")
SAMPLES = 2
TABLE = PageTable(PAGE, "sweep", f"| model | input | {' | '.join(SCHEDULES)} |\n|---|---|{'---:|' * len(SCHEDULES)}\n")


@dataclass(frozen=True)
class Build:
    """A model in one schedule."""

    model: str
    feed: str
    schedule: str

    @property
    def name(self) -> str:
        """What its result is kept under."""
        return f"{self.model}, input {self.feed}, {self.schedule}"

    def measure(self) -> dict[str, Any]:
        """What came out, or why there is nothing."""
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "out"
            try:
                thimble.compile(model_file(self.model), BOARD, folder, schedule=self.schedule, input=self.feed)
                report = thimble.verify(folder, samples=SAMPLES)
            except UsageError:
                return {"refused": True}  # an input of one row cannot come by rows
            except ThimbleError as error:
                return {"error": str(error)}
        return {
            "arena_bytes": report["memory"]["arena_bytes"],
            "cycles": report["latency"]["cycles"],
            "mismatched": report["verify"]["mismatched_values"],
        }


def builds(names: list[str]) -> list[Build]:
    """All of them, of the models that are here and, where names are given, have one of these in theirs."""
    here = [m for m in (*MLPERF_TINY, *OTHERS) if model_file(m).is_file() and (not names or any(n in m for n in names))]
    return [Build(*parts) for parts in product(here, FEEDS, SCHEDULES)]


def rows(results: dict[str, Any]) -> Iterator[str]:
    """The rows of the page: bytes of the arena and Mcycles, with the number of values that differ where any do."""
    for model, feed in product(dict.fromkeys(build.model for build in builds([])), FEEDS):
        found = [results.get(Build(model, feed, schedule).name) for schedule in SCHEDULES]
        cells = [cell(result) for result in found if result is not None]
        if len(cells) == len(SCHEDULES) and any(cells):
            yield f"| {Path(model).name} | {feed} | {' | '.join(cells)} |"


def cell(result: dict[str, Any]) -> str:
    """One build; nothing where it makes no sense."""
    if "arena_bytes" not in result:
        return result.get("error", "")
    wrong = f", {result['mismatched']} differ" if result["mismatched"] else ""
    return f"{result['arena_bytes']:,} / {result['cycles'] / 1e6:.2f}{wrong}"


def main(names: list[str]) -> None:
    """Measure what is missing and show it all."""
    console, todo = Console(), builds(names)
    results = json.loads(CACHE.read_text()) if CACHE.is_file() else {}
    missing = [build for build in todo if build.name not in results]
    for build in track(missing, "Compiling and verifying", console=console):
        results[build.name] = build.measure()
        console.print(build.name, results[build.name])
        CACHE.parent.mkdir(exist_ok=True)
        CACHE.write_text(json.dumps(results, indent=1))
    TABLE.write(list(rows(results)))
    wrong = [build.name for build in todo if results[build.name].get("mismatched") or "error" in results[build.name]]
    if wrong:
        raise SystemExit(f"Wrong: {'; '.join(wrong)}")


if __name__ == "__main__":
    main(sys.argv[1:])
