"""The tables of docs/kernels.md: cycles of layers as the cost model predicts them beside what the simulator counts.

`python -m tests.bench.cost_table [NAME ...]` builds networks that were not in the fit, layer by layer and by rows, with
plain kernels and the chip's own, and writes their rows; rows of networks that are not here, or not named, stay. With
`--targets TARGET ...` it writes those of other chips, with their own kernels alone.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from rich.console import Console

from tests.bench.cost_samples import Sample, Samples, Variant, load_graph, sample_all
from tests.bench.fit_costs import MEASURED, entries_of
from tests.bench.models import BOARD, MLPERF_TINY, model_file
from tests.bench.page import PageTable
from tests.models.catalogue import MODELS
from tests.shared_data import ROOT
from thimble.codegen.kernels import KernelFamily
from thimble.compiler.driver import demo
from thimble.compiler.plan.cycles import FAST_DATA, CycleModel, cycle_model
from thimble.targets.model import Target, load_target

PAGE = ROOT / "docs" / "kernels.md"
HEAD = """| network | kernels | layers | median error | 90th percentile | whole network |
|---|---|---:|---:|---:|---:|
"""
TABLE = PageTable(PAGE, "costs", HEAD)
OTHER_HEAD = """\
| chip | network | layers | median error | 90th percentile | whole | by rows: median | 90th percentile | whole |
|---|---|---:|---:|---:|---:|---:|---:|---:|
"""
OTHER_TABLE = PageTable(PAGE, "costs of other chips", OTHER_HEAD)
SHIPPED = "fashion_mnist_int8"
NETWORKS = (SHIPPED, *MLPERF_TINY, "vision/mcunet_vww_int8", "mobilenet_v2_035_144")
VARIANTS = {
    "plain C": Variant(KernelFamily.C),
    "own": Variant(KernelFamily.AUTO),
    "own, 2,048 bytes of scratch": Variant(KernelFamily.AUTO, 2048),
    "own, row by row": Variant(KernelFamily.AUTO, rows=1),
}
OTHER_CHIPS = MEASURED[1:]
OTHER_VARIANTS = (VARIANTS["own"], VARIANTS["own, row by row"])


def network_data(name: str) -> bytes | None:
    """The model file of a network; None where it is not here."""
    if name in MODELS:
        return MODELS[name]()
    path = demo.model_path() if name == SHIPPED else model_file(name)
    return path.read_bytes() if path.is_file() else None


def relative_errors(samples: Iterable[Sample], model: CycleModel) -> np.ndarray:
    """Of each layer, in percent: above 0 where more was predicted than simulated."""
    return np.array([100 * (sample.predicted(model) / sample.cycles - 1) for sample in samples])


def samples_of(name: str, data: bytes, target: Target, variants: Iterable[Variant]) -> Iterator[Samples | None]:
    """The layers of a network in each variant, None where it does not fit the chip."""
    graph = load_graph(data, name.rpartition("/")[2])
    return sample_all([(graph, target, variant) for variant in variants], os.cpu_count() or 1)


def error_cells(run: Samples | None, model: CycleModel) -> str:
    """Median and 90th percentile of the errors of the layers, and the error of their sum."""
    if run is None:
        return "does not fit | | "
    errors = np.abs(relative_errors(run.layers, model))
    whole = 100 * (sum(s.predicted(model) for s in run.layers) / sum(s.cycles for s in run.layers) - 1)
    return f"{np.median(errors):.1f}% | {np.percentile(errors, 90):.1f}% | {whole:+.1f}%"


def rows(name: str, data: bytes, target: Target) -> list[str]:
    """The rows of one network on the chip of reference."""
    short, model = name.rpartition("/")[2], cycle_model(target.name)
    made = zip(VARIANTS, samples_of(name, data, target, VARIANTS.values()), strict=True)
    return [f"| {short} | {label} | {len(run.layers)} | {error_cells(run, model)} |" for label, run in made if run]


def write_networks(names: Sequence[str]) -> None:
    """Measure networks on the chip of reference, print, and write their rows into the page."""
    console, target = Console(), load_target(BOARD)
    lines: list[str] = []
    for name in NETWORKS:
        short = name.rpartition("/")[2]
        data = network_data(name) if not names or name in names or short in names else None
        for line in rows(name, data, target) if data is not None else TABLE.lines_of(short):
            console.print(line, soft_wrap=True)
            lines.append(line)
    TABLE.write(lines)


def write_chips(chips: Sequence[str]) -> None:
    """Measure the small networks on other chips, print, and write their rows; rows of chips not named stay."""
    console, lines = Console(), list[str]()
    for chip in OTHER_CHIPS:
        if chip not in chips:
            lines += OTHER_TABLE.lines_of(chip)
            continue
        target = load_target(chip)
        for name, entry in product((SHIPPED, *MLPERF_TINY), entries_of(target)):
            data = network_data(name)
            if data is None:
                continue
            fast_data = entry != chip
            variants = (replace(variant, fast_data=fast_data) for variant in OTHER_VARIANTS)
            runs = list(samples_of(name, data, target, variants))
            layers = len(runs[0].layers) if runs[0] else ""
            cells = " | ".join(error_cells(run, cycle_model(chip, fast_data)) for run in runs)
            where = FAST_DATA if fast_data else ""
            lines.append(f"| {chip} | {name.rpartition('/')[2]}{where} | {layers} | {cells} |")
            console.print(lines[-1], soft_wrap=True)
    OTHER_TABLE.write(lines)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("names", nargs="*", metavar="NAME")
    arguments.add_argument(
        "--targets", nargs="+", default=[], choices=OTHER_CHIPS, metavar="TARGET", help=", ".join(OTHER_CHIPS)
    )
    given = arguments.parse_args()
    if given.targets:
        write_chips(given.targets)
    else:
        write_networks(given.names)
