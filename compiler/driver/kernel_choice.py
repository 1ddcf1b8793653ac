"""The kernels that a target has for each node of a graph, with what they take: what the planner chooses from."""

from __future__ import annotations

from functools import partial

from thimble.codegen.armv7em.core import Core
from thimble.codegen.kernels import choose_kernels, kernels_by_scratch, own_core
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.cycles import CycleModel, cycle_model
from thimble.compiler.plan.kernel_work import CallShape, NodeSize, NodeWork
from thimble.compiler.plan.kernels import KernelChoices, KernelOption
from thimble.compiler.plan.options import Objective
from thimble.targets.model import Target

CODE_BYTES = 48 << 10
"""More than the code and the small tables of a model take as a rule."""


def kernel_choices(graph: Graph, target: Target, options: CompileOptions) -> KernelChoices | None:
    """What the planner may choose from for a graph with plain kernels; None where the target has nothing else.

    Weights are transformed, which takes flash, for the least latency alone.
    """
    spare = _spare_flash_bytes(graph, target, options) if options.objective is Objective.LATENCY else 0
    core = own_core(graph, target, options.kernels, spare)
    if core is None:
        return None
    model = cycle_model(target.name)
    whole = tuple(_options_of(site, core, model, options.rounding, False) for site in graph.sites)
    by_rows = tuple(_options_of(site, core, model, options.rounding, True) for site in graph.sites)
    if all(len(found) < 2 for found in (*whole, *by_rows)):
        return None
    return KernelChoices(whole, by_rows, partial(choose_kernels, graph, core))


def _options_of(
    site: Site, core: Core, model: CycleModel, rounding: Rounding, by_rows: bool
) -> tuple[KernelOption, ...]:
    form = site.op.rows(site)
    if by_rows and form is None:
        return ()
    size, found = NodeSize.of(site, form.steps if form else 1), []
    for limit, calls in kernels_by_scratch(site, core, rounding, by_rows):
        shapes = tuple(CallShape.of(call, by_rows) for call in calls)
        work = NodeWork(size, (), shapes) if by_rows else NodeWork(size, shapes)
        scratch = max((call.scratch_bytes for call in calls), default=0)
        cycles = partial(_cycles_by_rows, model, work) if by_rows else partial(_cycles_of_layer, model, work)
        found.append(KernelOption(limit, scratch, all(call.overlaps for call in calls), cycles))
    return tuple(found)


def _cycles_by_rows(model: CycleModel, work: NodeWork, rows: float) -> float:
    return model.step + model.cycles(work, rows)


def _cycles_of_layer(model: CycleModel, work: NodeWork, rows: float) -> float:
    return model.cycles(work)


def _spare_flash_bytes(graph: Graph, target: Target, options: CompileOptions) -> int:
    """Flash that larger weights may take, which is far less than what is left of the limit: code is not known yet."""
    asked = options.max_flash_bytes
    limit = target.flash_bytes if asked is None else min(target.flash_bytes, asked)
    constants = sum(value.type.bytes for value in graph.values if value.role is Role.CONSTANT)
    return limit - constants * 5 // 4 - CODE_BYTES
