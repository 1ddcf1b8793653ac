"""The table of docs/kernels.md: cycles of layers as the cost model predicts them beside what the simulator counts.

`python -m tests.bench.cost_table [NAME ...]` builds networks that were not in the fit, layer by layer and by rows, with
plain kernels and the chip's own, and writes their rows; rows of networks that are not here, or not named, stay.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from rich.console import Console

from tests.bench.cost_samples import Sample, Variant, load_graph, sample_all
from tests.bench.models import BOARD, MLPERF_TINY, model_file
from tests.bench.page import PageTable
from tests.models.catalogue import MODELS
from tests.shared_data import ROOT
from thimble.codegen.kernels import KernelFamily
from thimble.compiler.driver import demo
from thimble.compiler.plan.cycles import CycleModel, cycle_model
from thimble.targets.model import Target, load_target

PAGE = ROOT / "docs" / "kernels.md"
HEAD = """| network | kernels | layers | median error | 90th percentile | whole network |
|---|---|---:|---:|---:|---:|
"""
TABLE = PageTable(PAGE, "costs", HEAD)
SHIPPED = "fashion_mnist_int8"
NETWORKS = (SHIPPED, *MLPERF_TINY, "vision/mcunet_vww_int8", "mobilenet_v2_035_144")
VARIANTS = {
    "plain C": Variant(KernelFamily.C),
    "own": Variant(KernelFamily.AUTO),
    "own, 2,048 bytes of scratch": Variant(KernelFamily.AUTO, 2048),
    "own, row by row": Variant(KernelFamily.AUTO, rows=1),
}


def network_data(name: str) -> bytes | None:
    """The model file of a network; None where it is not here."""
    if name in MODELS:
        return MODELS[name]()
    path = demo.model_path() if name == SHIPPED else model_file(name)
    return path.read_bytes() if path.is_file() else None


def relative_errors(samples: Iterable[Sample], model: CycleModel) -> np.ndarray:
    """Of each layer, in percent: above 0 where more was predicted than simulated."""
    return np.array([100 * (sample.predicted(model) / sample.cycles - 1) for sample in samples])


def rows(name: str, data: bytes, target: Target) -> list[str]:
    """The rows of one network."""
    model, graph = cycle_model(target.name), load_graph(data, name.rpartition("/")[2])
    jobs = [(graph, target, variant) for variant in VARIANTS.values()]
    made = []
    for label, run in zip(VARIANTS, sample_all(jobs, os.cpu_count() or 1), strict=True):
        if run is None:
            continue
        errors = np.abs(relative_errors(run.layers, model))
        whole = 100 * (sum(s.predicted(model) for s in run.layers) / sum(s.cycles for s in run.layers) - 1)
        cells = f"{np.median(errors):.1f}% | {np.percentile(errors, 90):.1f}% | {whole:+.1f}%"
        made.append(f"| {graph.name} | {label} | {len(errors)} | {cells} |")
    return made


def main(names: Sequence[str]) -> None:
    """Measure, print, and write the rows into the page."""
    console, target = Console(), load_target(BOARD)
    lines: list[str] = []
    for name in NETWORKS:
        short = name.rpartition("/")[2]
        data = network_data(name) if not names or name in names or short in names else None
        for line in rows(name, data, target) if data is not None else TABLE.lines_of(short):
            console.print(line, soft_wrap=True)
            lines.append(line)
    TABLE.write(lines)


if __name__ == "__main__":
    main(sys.argv[1:])
