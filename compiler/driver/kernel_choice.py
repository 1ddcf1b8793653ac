"""The kernels that a target has for each node of a graph, with what they take: what the planner chooses from."""

from __future__ import annotations

from functools import partial

from thimble.codegen.kernels import KernelFamily, choose_kernels, kernels_by_scratch, most_winograd_bytes
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.plan.cycles import cycle_model
from thimble.compiler.plan.kernels import KernelChoices, KernelOption
from thimble.compiler.plan.options import Objective
from thimble.targets.model import Target

CODE_BYTES = 48 << 10
"""More than the code and the small tables of a model take as a rule."""


def winograd_allowance(graph: Graph, target: Target, options: CompileOptions) -> int:
    """Flash that one layer's transformed weights may take: with `latency` as much as is free, otherwise none.

    Far less is given than what is left of the limit, since the size of the code is not known yet.
    """
    if options.objective is not Objective.LATENCY:
        return 0
    limit = min(target.flash_bytes, options.max_flash_bytes or target.flash_bytes)
    constants = sum(value.type.bytes for value in graph.values if value.role is Role.CONSTANT)
    return most_winograd_bytes(graph, target, limit - constants * 5 // 4 - CODE_BYTES)


def kernel_choices(
    graph: Graph, target: Target, options: CompileOptions, winograd_bytes: int = 0
) -> KernelChoices | None:
    """What the planner may choose from for a graph with plain kernels; None where the target has nothing else.

    A layer's weights may be transformed where that takes no more flash than `winograd_bytes`.
    """
    if options.kernels is KernelFamily.C:
        return None
    whole, by_rows = [], []
    for site in graph.sites:
        form = site.op.rows(site)
        whole.append(_options_of(site, target, options, False, winograd_bytes))
        by_rows.append(_options_of(site, target, options, True, winograd_bytes) if form else ())
    if all(len(found) < 2 for found in (*whole, *by_rows)):
        return None
    choose = partial(choose_kernels, graph, target, options.kernels, winograd_bytes=winograd_bytes, tuned=options.tuned)
    return KernelChoices(whole, by_rows, choose)


def _options_of(
    site: Site, target: Target, options: CompileOptions, by_rows: bool, winograd_bytes: int
) -> tuple[KernelOption, ...]:
    model, found = cycle_model(target.name), []
    given = kernels_by_scratch(site, target, options.rounding, by_rows, winograd_bytes, options.tuned)
    for limit, calls in given:
        scratch = max((call.scratch_bytes for call in calls), default=0)
        cycles = model.of_calls(site, calls, by_rows)
        found.append(KernelOption(limit, scratch, all(call.overlaps for call in calls), cycles))
    return tuple(found)
