"""`make tune-cache`: measure the kernels of MLPerf Tiny's and MobileNet's layers; write codegen/tuned_kernels.json.

To be run once kernels or their generators have changed: what was measured with older ones does not count any more. It
takes some minutes. `python -m tests.bench.tune_shapes NAME ...` takes these networks alone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from tests.bench.cost_samples import load_graph
from tests.bench.cost_table import NETWORKS, network_data
from tests.bench.models import BOARD
from thimble.compiler.driver import tuned_cache, tuning
from thimble.compiler.driver.planning import Progress
from thimble.compiler.ir.operator import Rounding
from thimble.targets.model import load_target

MAX_BYTES = 1_000_000
"""Of the file that ships."""


def tune(names: Sequence[str], file: Path, console: Console) -> None:
    """Measure the layers of networks, whole, and add them to a file."""
    target = load_target(BOARD)
    where = tuned_cache.context(target)

    @contextmanager
    def show() -> Iterator[Progress]:
        yield lambda what, part: console.print(f"{what}", end="\r")

    for name in names:
        data = network_data(name)
        if data is None:
            console.print(f"{name} is not here: its layers stay as they are")
            continue
        graph = load_graph(data, name.rpartition("/")[2])
        for compact in (False, True):
            tuned = tuning.tune_graph(graph, target, Rounding.TFLM, by_rows=False, compact=compact, show=show)
            tuned_cache.save(file, where, tuned.layers)
        console.print(f"{graph.name}: {len(tuned.layers)} layers; {file.stat().st_size:,} bytes")
    if file.stat().st_size > MAX_BYTES:
        raise SystemExit(f"{file} is larger than {MAX_BYTES:,} bytes")


if __name__ == "__main__":
    tune(sys.argv[1:] or NETWORKS, tuned_cache.SHIPPED, Console())
