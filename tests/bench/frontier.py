"""The tables and drawings of docs/memory.md: the whole frontier of bytes against simulated cycles.

`python -m tests.bench.frontier [NAME ...]` builds and simulates every point of all networks, or of those named, as
`thimble analyze --frontier --input rows --io int8` does, and writes their rows and drawings.
"""

from __future__ import annotations

import sys
import tempfile
from functools import partial
from pathlib import Path

from tests.bench.memory import NETWORKS, PAGE, Network
from tests.bench.page import PageTable, TableRows
from thimble.compiler.driver.frontier import measure_frontier, write_svg
from thimble.compiler.driver.options import CompileOptions, InputFeed, Io

TARGET = "stm32l4r5zi"
NAMES = ("mlperf_tiny/vww_96_int8", "mobilenet_v2_035_144")
HEAD = """| network | bytes | Mcycles | multiply-accumulates | steps |
|---|---:|---:|---:|---:|
"""
TABLE = PageTable(PAGE, "frontier", HEAD)


def rows(network: Network) -> list[str]:
    """The rows of one network, by falling bytes; it is drawn too."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{Path(network.name).stem}.tflite"
        path.write_bytes(network.load())
        result = measure_frontier(path, TARGET, CompileOptions(input=InputFeed.ROWS, io=Io.INT8))
    write_svg(result, PAGE.parent / f"frontier-{Path(network.name).stem}.svg")
    return [
        f"| {network.title} | {p['arena_bytes']:,} | {p['cycles'] / 1e6:.2f} | {p['mac_factor']:.2f}x | {p['steps']} |"
        for p in result["points"]
    ]


def main(names: list[str]) -> None:
    """Measure, and write the rows into the page; rows of networks that are not measured stay."""
    networks = (network for network in NETWORKS if network.name in NAMES)
    TABLE.update((TableRows(n.name, n.title, n.is_here, partial(rows, n)) for n in networks), names)


if __name__ == "__main__":
    main(sys.argv[1:])
