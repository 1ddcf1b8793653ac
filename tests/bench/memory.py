"""The table of docs/memory.md: what the planner reaches on each network, planned anew and checked.

`python -m tests.bench.memory [NAME ...]` plans all networks, or those whose names are given, and writes their rows.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.models import model_file
from tests.bench.page import PageTable, TableRows
from tests.models.catalogue import MODELS
from tests.shared_data import ROOT
from thimble.compiler.driver.build_folder import import_model, optimize
from thimble.compiler.driver.memory_report import macs_by_layer
from thimble.compiler.driver.options import CompileOptions, InputFeed, Io
from thimble.compiler.driver.planning import least_plan, make_plan
from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.options import Objective, Schedule

PAGE = ROOT / "docs" / "memory.md"
HEAD = """| network | layer by layer | by rows | input by rows too | with recomputation | others' |
|---|---:|---:|---:|---|---|
"""
TABLE = PageTable(PAGE, "measured", HEAD)


@dataclass(frozen=True)
class Network:
    """A network of the table: its title there, and what others publish of it."""

    name: str
    title: str
    load: Callable[[], bytes]
    others: str

    @property
    def is_here(self) -> bool:
        """Whether its file, if it is one, is here."""
        return self.name in MODELS or model_file(self.name).is_file()


def real(name: str, title: str, others: str) -> Network:
    """A network whose file lies in the data folder."""
    return Network(name, title, lambda: model_file(name).read_bytes(), others)


def synthetic(name: str, title: str, others: str) -> Network:
    """A network of random weights (tests/models)."""
    return Network(name, title, MODELS[name], others)


NETWORKS = (
    real("mlperf_tiny/kws_ref_model_int8", "kws", "TFLM 22,820; Plumerai, HALE 16,000"),
    real("mlperf_tiny/ic_resnet8_int8", "ic", "TFLM 54,996; HALE 21,104"),
    real("mlperf_tiny/vww_96_int8", "vww", "TFLM 100,708; Plumerai about 40 KiB"),
    real("mlperf_tiny/ad01_int8", "ad", "TFLM 2,580; lowest published 768"),
    real("vision/mcunet_vww_int8", "mcunet_vww", "msf-CNN 20,600 at 1.30x, 15,400 at 1.96x"),
    synthetic(
        "mobilenet_v2_035_144",
        "MobileNetV2 0.35 at 144",
        "MCUNetV2 63,000; StreamNet 66,000; msf-CNN 21,400 at 1.30x, 8,560 at 1.68x",
    ),
    synthetic("mcunet_320k_176", "MCUNet 320K at 176", "msf-CNN 63,500 at 2.02x, 51,200 at 2.69x"),
    synthetic("mobilenet_v2_100_224", "MobileNetV2 1.0 at 224", ""),
)


def rows(network: Network) -> Iterator[str]:
    """The row of one network, measured."""
    source = import_model(network.load(), Path(f"{Path(network.name).stem}.tflite"))
    graph, _ = optimize(source, io=Io.INT8)
    cells = [
        reached(graph, schedule=Schedule.LAYER),
        reached(graph, schedule=Schedule.ROWS),
        by_rows(graph, schedule=Schedule.ROWS),
        by_rows(graph, schedule=Schedule.AUTO),
    ]
    yield f"| {network.title} | {' | '.join(cells)} | {network.others} |"


def by_rows(graph: Graph, schedule: Schedule) -> str:
    """What is reached with the input by rows, where it has some."""
    return reached(graph, schedule, InputFeed.ROWS) if graph.values[graph.inputs[0]].type.rows > 1 else "-"


def reached(graph: Graph, schedule: Schedule, feed: InputFeed = InputFeed.RESIDENT) -> str:
    """The bytes of the smallest plan, with its factor of MACs where something is computed twice."""
    options = CompileOptions(schedule=schedule, objective=Objective.SRAM, input=feed)
    graph, plan = least_plan(graph, options, lambda graph: (graph, make_plan(graph, options)))
    factor = sum(macs_by_layer(graph, plan)) / max(graph.macs, 1)
    return f"{plan.arena_bytes:,}" + (f" at {factor:.2f}x" if factor > 1 else "")


def main(names: list[str]) -> None:
    """Measure, and write the rows into the page; rows of networks that are not measured stay."""
    TABLE.update((TableRows(n.name, n.title, n.is_here, partial(rows, n)) for n in NETWORKS), names)


if __name__ == "__main__":
    main(sys.argv[1:])
