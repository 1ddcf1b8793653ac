"""Graph to Plan: whichever schedule the options ask for, in one block or in several memories."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol

from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.cycles import cycle_model
from thimble.compiler.plan.guards import find_flags
from thimble.compiler.plan.kernel_fit import KernelFit
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.kernels import KernelChoices, KernelLimit
from thimble.compiler.plan.layer_plan import plan_layers
from thimble.compiler.plan.options import Objective, PlanOptions
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.search import FrontierPoint, Search

MOST_ROWS = 1 << 14
"""Rows of the tallest tensor of a graph that is planned by rows; no microcontroller's input has more."""

ARENA_ALIGNMENT = 16
"""What the arena itself must be aligned to."""


@dataclass(frozen=True, slots=True)
class KernelPlan:
    """A graph with the kernels that were chosen for it, the limit of those of each node, its plan, and the cycles
    that it is predicted to take."""

    graph: Graph
    kernel_limits: tuple[KernelLimit, ...]
    plan: Plan
    cycles: int


def plan_graph(graph: Graph, rounding: Rounding = Rounding.TFLM, options: PlanOptions | None = None) -> Plan:
    """The plan that the options ask for, of all schedules: layer by layer, by rows, by strips and patches.

    Where nothing stays within `max_sram_bytes`, it is the smallest plan that was found. With `regions`, it is laid out
    in them where it is too large for the first one or where latency is the objective; else it is one block.
    """
    options = options or PlanOptions()
    if options.max_cycles is not None:
        return plan_priced(graph, None, rounding, options).plan
    return _in_regions(_search(graph, rounding, options), options).plan


def plan_kernels(graph: Graph, choices: KernelChoices | None, rounding: Rounding, options: PlanOptions) -> KernelPlan:
    """The plan that the options ask for and the kernels that go with it, of a graph that has plain kernels; None leaves
    it these."""
    return _with_kernels(graph, choices, plan_priced(graph, choices, rounding, options))


def plan_priced(graph: Graph, choices: KernelChoices | None, rounding: Rounding, options: PlanOptions) -> FrontierPoint:
    """The plan that the options ask for with the estimated cycles of all of it; None stands for plain kernels."""
    if choices is not None:
        return _in_regions(KernelFit(graph, choices, options, _search(graph, rounding, options, by_node=True)), options)
    model = options.cycles or cycle_model()
    whole = round(sum(model.cycles(NodeWork.of(site, rounding)) for site in graph.sites))
    if options.max_cycles is not None:
        options = replace(options, max_cycles=options.max_cycles - whole)
    found = _in_regions(_search(graph, rounding, options), options)
    return replace(found, cycles=found.cycles + whole)


def frontier(
    graph: Graph, rounding: Rounding = Rounding.TFLM, options: PlanOptions | None = None
) -> tuple[FrontierPoint, ...]:
    """Plans from the fewest cycles to the least bytes, none dominated; cycles are estimates."""
    return _search(graph, rounding, options or PlanOptions()).frontier()


def kernel_frontier(
    graph: Graph, choices: KernelChoices, rounding: Rounding, options: PlanOptions
) -> tuple[KernelPlan, ...]:
    """The same with the kernels that go with each plan, of a graph that has plain kernels."""
    fit = KernelFit(graph, choices, options, _search(graph, rounding, options, by_node=True))
    return tuple(_with_kernels(graph, choices, point) for point in fit.frontier())


def only_whole(graph: Graph) -> bool:
    """Whether nodes can only run whole: no tensor has several rows, one has more than are worth a look, or some nodes
    run by what flags say, which a schedule by rows does not know of."""
    if find_flags(graph):
        return True
    rows = max((v.type.rows for v in graph.values if v.role is not Role.CONSTANT), default=1)
    return rows < 2 or rows > MOST_ROWS


class _Plans(Protocol):
    """Who makes plans within limits of bytes, in one block or spread over the regions of the options."""

    def best(self, limit: int | None) -> FrontierPoint:
        """The plan that the options ask for, within a limit of bytes where any is found."""

    def spread(self, point: FrontierPoint) -> Plan:
        """A schedule that was found before, in the regions of the options; one block where it does not fit them."""


def _search(graph: Graph, rounding: Rounding, options: PlanOptions, by_node: bool = False) -> Search:
    by_rows = not find_flags(graph) and (options.input_by_rows or not only_whole(graph))
    layers = None if options.input_by_rows else plan_layers(graph, rounding, options.effort)
    return Search(graph, rounding, options, layers, by_rows, by_node)


def _in_regions(plans: _Plans, options: PlanOptions) -> FrontierPoint:
    """The best plan of them, in the regions of the options as `plan_graph` says."""
    if not options.regions:
        return plans.best(options.max_sram_bytes)
    first, whole = options.regions[0].bytes, sum(region.bytes for region in options.regions)
    limit = min(whole, options.max_sram_bytes or whole)
    found = plans.best(limit)
    if found.arena_bytes > first or options.objective is Objective.LATENCY:
        plan = plans.spread(found)
        if plan.blocks and plan.arena_bytes <= limit:
            return replace(found, plan=plan)
    return found if found.arena_bytes <= first else plans.best(min(limit, first))


def _with_kernels(graph: Graph, choices: KernelChoices | None, point: FrontierPoint) -> KernelPlan:
    made = graph if choices is None else choices.choose(point.kernel_limits)
    return KernelPlan(made, point.kernel_limits, point.plan, point.cycles)
