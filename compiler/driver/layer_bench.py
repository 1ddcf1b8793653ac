"""Cycles of the nodes of a graph on a simulated chip: what kernels are tuned by, and the cost model is fitted to."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from thimble.codegen.project import Project, generate_project
from thimble.compiler.driver.latency import is_of_layer
from thimble.compiler.ir.errors import SimulationFailed
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.plan import Plan
from thimble.targets.build import build_firmware, object_file
from thimble.targets.elf import ElfSizes, read_sizes
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
    """Cycles of one inference on zeros, and of its nodes; None for nodes that run no code, which are views.

    `sizes` are those of the firmware, `stack_bytes` what it used of the stack, `code_bytes` the code of each C file
    before what nobody calls was left out.
    """

    cycles: int
    nodes: tuple[NodeCycles | None, ...]
    sizes: ElfSizes
    stack_bytes: int
    code_bytes: Mapping[str, int]


def measure_graph(graph: Graph, plan: Plan, target: Target, rounding: Rounding = Rounding.TFLM) -> GraphCycles:
    """Build the firmware of a plan and run it once on zeros.

    Raises DoesNotFit where it is too large for the chip, ToolMissing, and SimulationFailed where nothing was counted.
    """
    return measure_project(generate_project(graph, plan, target, NAME, rounding), graph, target)


def measure_project(project: Project, graph: Graph, target: Target) -> GraphCycles:
    """The same for a project of a graph."""
    with tempfile.TemporaryDirectory(prefix="thimble-bench-") as name:
        folder = Path(name)
        for file, text in project.files.items():
            (folder / file).write_text(text, encoding="utf-8")
        images = build_firmware(folder, target, project.name)
        trace = simulate(images.sim_elf, target, folder, time_limit_s(target, 1), timed=True)
        sizes, code = read_sizes(images.chip_elf), _code_bytes(folder, project)
    whole = next((f for f in trace.functions if f.name == f"{project.name}_invoke"), None)
    if whole is None or whole.inclusive_cycles is None:
        raise SimulationFailed(f"The simulator of {target.name} counted no cycles.")
    nodes = []
    for index, site in enumerate(graph.sites):
        own = [f for f in trace.functions if is_of_layer(f.name, index, site.op.name)]
        nodes.append(NodeCycles(sum(f.inclusive_cycles or 0 for f in own), sum(f.calls for f in own)) if own else None)
    return GraphCycles(whole.inclusive_cycles, tuple(nodes), sizes, trace.peak_stack_bytes or 0, code)


def _code_bytes(folder: Path, project: Project) -> dict[str, int]:
    """The code of each C file that holds a kernel."""
    sources = sorted({name for files in project.sources.values() for name in files})
    return {name: read_sizes(object_file(folder, name)).text_bytes for name in sources}
