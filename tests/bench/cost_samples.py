"""Simulated cycles of layers beside the work that their kernels do: what the cost model is fitted to and checked by."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from thimble.codegen.kernels import KernelFamily, KernelSettings, choose_kernels
from thimble.codegen.project import generate_project
from thimble.compiler.driver import ram_cache
from thimble.compiler.driver.build_folder import import_model, optimize
from thimble.compiler.driver.layer_bench import NAME, NodeCycles, measure_project
from thimble.compiler.driver.options import Io
from thimble.compiler.driver.tuned_cache import write_text
from thimble.compiler.driver.tuning import in_fast_ram
from thimble.compiler.ir.errors import DoesNotFit
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.call_shape import Work
from thimble.compiler.plan.cycles import CycleModel
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.kernels import UNLIMITED, KernelLimit
from thimble.compiler.plan.late import write_late
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_layers
from thimble.compiler.plan.row_graph import row_graph
from thimble.compiler.plan.row_plan import plan_runs
from thimble.compiler.plan.runs import Recipe, Run
from thimble.targets.model import Target
from thimble.targets.sim.cache import cache_dir

ROUNDING = Rounding.TFLM


@dataclass(frozen=True, slots=True)
class Variant:
    """How a network is built: its kernels, their limit of scratch, rows a call (None: layer by layer), the flash that
    a layer's transformed weights may take, whether kernels are to be small, all data lie in the fastest RAM, and
    convolutions write late."""

    kernels: KernelFamily
    limit_bytes: int | None = None
    rows: int | None = None
    winograd_bytes: int = 0
    compact: bool = False
    fast_data: bool = False
    late: bool = False


PLAIN = (
    Variant(KernelFamily.C),
    *(Variant(KernelFamily.C, rows=rows) for rows in (1, 3)),
)
OWN = (
    *(Variant(KernelFamily.AUTO, limit) for limit in (None, 4096, 2048, 1024, 256)),
    *(Variant(KernelFamily.AUTO, None, rows) for rows in (1, 2, 4)),
    Variant(KernelFamily.AUTO, 2048, 1),
    *(Variant(KernelFamily.AUTO, 0, rows) for rows in (None, 1, 3)),
    Variant(KernelFamily.AUTO, winograd_bytes=1 << 20),
    Variant(KernelFamily.AUTO, compact=True),
    Variant(KernelFamily.AUTO, 1024, compact=True),
)


@dataclass(frozen=True, slots=True)
class Sample:
    """A layer as it was built and run once: in `calls` calls of `rows` rows each (None: whole), which took `cycles`."""

    network: str
    node: int
    op: str
    output: str
    work: NodeWork
    calls: int
    rows: float | None
    cycles: int

    def predicted(self, model: CycleModel) -> float:
        """The cycles that a cost model gives."""
        return self.calls * model.cycles(self.work, self.rows)

    def amounts(self) -> tuple[tuple[str, Work], ...]:
        """Each kernel with its work over all calls."""
        return tuple(
            (kernel, {name: self.calls * amount for name, amount in work.items()})
            for kernel, work in self.work.calls(self.rows)
        )


@dataclass(frozen=True, slots=True)
class Samples:
    """The layers of one build, and what a step of its schedule took beside them (None: layer by layer)."""

    layers: tuple[Sample, ...]
    step_cycles: float | None


def load_graph(data: bytes, name: str, io: Io = Io.INT8) -> Graph:
    """A model's graph, all passes done, by default with an int8 interface."""
    return optimize(import_model(data, Path(f"{name}.tflite")), io=io)[0]


def with_kernels(graph: Graph, target: Target, variant: Variant) -> Graph:
    """A network with the kernels of a variant."""
    graph = write_late(graph) if variant.late else graph
    settings = KernelSettings(variant.kernels, variant.winograd_bytes, variant.compact)
    limit = UNLIMITED if variant.limit_bytes is None else KernelLimit(variant.limit_bytes)
    return choose_kernels(graph, target, settings, limit)


def kernels_of(graph: Graph, target: Target, variant: Variant) -> set[str]:
    """The kernels that a network has in a variant."""
    found = set()
    for site in with_kernels(graph, target, variant).sites:
        whole = variant.rows is None or site.op.rows(site) is None
        found |= {call.kernel for call in (site.lower(ROUNDING) if whole else site.lower_rows(ROUNDING))}
    return found


def sample(graph: Graph, target: Target, variant: Variant) -> Samples:
    """Build and run a network. Raises DoesNotFit where it is too large for the chip."""
    graph = with_kernels(graph, target, variant)
    if variant.rows is None:
        plan = plan_layers(graph, ROUNDING, 0.0)
    else:
        rows = row_graph(graph, ROUNDING, False)
        plan = plan_runs(rows, [Run(i, i + 1, Recipe(variant.rows)) for i in range(len(rows.nodes))], 0.0)
    plan = in_fast_ram(plan, target) if variant.fast_data else plan
    cycles, nodes = measured_once(graph, plan, target)
    layers = []
    for index, (site, node) in enumerate(zip(graph.sites, nodes, strict=True)):
        if node is not None:
            work = NodeWork.of(site, ROUNDING)
            whole = variant.rows is None or not work.by_rows
            rows_a_call = None if whole else work.size.steps / node.calls
            output = str(site.outputs[0].type) if site.outputs else ""
            layers.append(Sample(graph.name, index, site.op.name, output, work, node.calls, rows_a_call, node.cycles))
    own = cycles - sum(node.cycles for node in nodes if node is not None)
    return Samples(tuple(layers), None if variant.rows is None else own / len(plan.steps))


def measured_once(graph: Graph, plan: Plan, target: Target) -> tuple[int, tuple[NodeCycles | None, ...]]:
    """Cycles of a plan's firmware and of its nodes; those of the very same firmware are kept, so that a fit that was
    stopped goes on where it was."""
    project = generate_project(graph, plan, target, NAME, ROUNDING)
    file = cache_dir() / "cost_samples" / f"{ram_cache.key_of(project, target).replace(' ', '-')}.json"
    if not file.is_file():
        found = measure_project(project, graph, target)
        nodes = [None if node is None else [node.cycles, node.calls] for node in found.nodes]
        write_text(file, json.dumps({"cycles": found.cycles, "nodes": nodes}) + "\n")
    kept = json.loads(file.read_text(encoding="utf-8"))
    return kept["cycles"], tuple(None if node is None else NodeCycles(*node) for node in kept["nodes"])


def sample_all(jobs: Sequence[tuple[Graph, Target, Variant]], workers: int) -> Iterator[Samples | None]:
    """The samples of all builds in order, None of those that do not fit the chip; some are made at the same time."""
    with ThreadPoolExecutor(workers) as pool:
        yield from pool.map(_sample_if_it_fits, jobs)


def _sample_if_it_fits(job: tuple[Graph, Target, Variant]) -> Samples | None:
    try:
        return sample(*job)
    except DoesNotFit:
        return None
