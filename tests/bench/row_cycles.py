"""The table of docs/memory.md: what balanced plans by rows take beside those by layers, with the chip's own kernels.

`python -m tests.bench.row_cycles [NAME ...]` builds and simulates all networks, or those named, and writes their rows.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.bench.memory import PAGE
from tests.bench.models import measure
from tests.bench.page import PageTable, model_rows

NETWORKS = (
    "mlperf_tiny/kws_ref_model_int8",
    "mlperf_tiny/ic_resnet8_int8",
    "mlperf_tiny/vww_96_int8",
    "mlperf_tiny/str_ww_ref_model_int8",
    "vision/mcunet_vww_int8",
)
FEEDS = ("resident", "rows")
HEAD = """| network | input | by layers | by rows | | auto | |
|---|---|---:|---:|---:|---:|---:|
"""
TABLE = PageTable(PAGE, "rows", HEAD)


def rows(path: Path) -> Iterator[str]:
    """The rows of one network: bytes of the arena and Mcycles of each schedule, and what they are beyond layers'."""
    for feed in FEEDS:
        cells: list[str] = []
        layers = 0
        for schedule in ("layer", "rows", "auto"):
            report, _ = measure(path, schedule=schedule, input=feed)
            cycles = report["latency"]["cycles"]
            layers = layers or cycles
            cells.append(f"{report['memory']['arena_bytes']:,} / {cycles / 1e6:.2f}")
            if schedule != "layer":
                cells.append(f"{100 * cycles / layers - 100:+.1f}%")
        yield f"| {path.stem} | {feed} | {' | '.join(cells)} |"


def main(names: list[str]) -> None:
    """Measure, and write the rows into the page; rows of networks that are not measured stay."""
    TABLE.update((model_rows(network, rows) for network in NETWORKS), names)


if __name__ == "__main__":
    main(sys.argv[1:])
