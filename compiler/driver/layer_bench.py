"""Cycles of the nodes of a graph on a simulated chip: what kernels are tuned by, and the cost model is fitted to."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from thimble.codegen.project import generate_project
from thimble.compiler.driver.latency import is_of_layer
from thimble.compiler.ir.errors import SimulationFailed
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.plan import Plan
from thimble.targets.build import build_firmware
from thimble.targets.model import Target
from thimble.targets.sim.simulate import simulate, time_limit_s

NAME = "bench"


@dataclass(frozen=True, slots=True)
class NodeCycles:
    """Cycles of a node in one inference, with its kernels, and in how many calls of its functions."""

    cycles: int
    calls: int


@dataclass(frozen=True, slots=True)
class GraphCycles:
    """Cycles of one inference on zeros, and of its nodes; None for nodes that run no code, which are views."""

    cycles: int
    nodes: tuple[NodeCycles | None, ...]


def measure_graph(graph: Graph, plan: Plan, target: Target, rounding: Rounding = Rounding.TFLM) -> GraphCycles:
    """Build the firmware of a plan and run it once on zeros.

    Raises DoesNotFit where it is too large for the chip, ToolMissing, and SimulationFailed where nothing was counted.
    """
    project = generate_project(graph, plan, target, NAME, rounding)
    with tempfile.TemporaryDirectory(prefix="thimble-bench-") as name:
        folder = Path(name)
        for file, text in project.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        images = build_firmware(folder, target, NAME)
        trace = simulate(images.sim_elf, target, folder, time_limit_s(target, 1), timed=True)
    whole = next((f for f in trace.functions if f.name == f"{NAME}_invoke"), None)
    if whole is None or whole.inclusive_cycles is None:
        raise SimulationFailed(f"The simulator of {target.name} counted no cycles.")
    nodes = []
    for index, site in enumerate(graph.sites):
        own = [f for f in trace.functions if is_of_layer(f.name, index, site.op.name)]
        nodes.append(NodeCycles(sum(f.inclusive_cycles or 0 for f in own), sum(f.calls for f in own)) if own else None)
    return GraphCycles(whole.inclusive_cycles, tuple(nodes))
