"""The kernels that a target has for each node of a graph, with what they take: what the planner chooses from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from thimble.codegen.candidates import candidate_key
from thimble.codegen.kernels import (
    KernelFamily,
    KernelSettings,
    choose_kernels,
    kernels_by_limit,
    most_winograd_bytes,
)
from thimble.codegen.tuned import kernel_stem
from thimble.compiler.driver.chip_costs import chip_costs
from thimble.compiler.driver.options import CompileOptions, is_compact
from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import KernelCall
from thimble.compiler.plan.call_shape import CallShape, NodeSize
from thimble.compiler.plan.cycles import CycleModel
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.kernels import KernelChoices, KernelLimit, KernelOption
from thimble.compiler.plan.options import Objective
from thimble.targets.model import Target

CODE_BYTES = 48 << 10
"""More than the code and the small tables of a model take as a rule."""


def kernel_settings(graph: Graph, target: Target, options: CompileOptions) -> KernelSettings:
    """How the kernels of a graph are to be made."""
    winograd_bytes = _winograd_allowance(graph, target, options)
    return KernelSettings(options.kernels, winograd_bytes, is_compact(options.objective))


def _winograd_allowance(graph: Graph, target: Target, options: CompileOptions) -> int:
    """Flash that one layer's transformed weights may take: with `latency` as much as is free, otherwise none.

    Far less is given than what is left of the limit, since the size of the code is not known yet.
    """
    if options.objective is not Objective.LATENCY:
        return 0
    limit = min(target.flash_bytes, options.max_flash_bytes or target.flash_bytes)
    constants = sum(value.type.bytes for value in graph.values if value.role is Role.CONSTANT)
    return most_winograd_bytes(graph, target, limit - constants * 5 // 4 - CODE_BYTES)


def kernel_choices(
    graph: Graph, target: Target, options: CompileOptions, settings: KernelSettings
) -> KernelChoices | None:
    """What the planner may choose from for a graph with plain kernels; None where the target has nothing else."""
    if settings.family is KernelFamily.C:
        return None
    model, rounding = chip_costs(target, options), options.rounding

    def options_of(site: Site, by_rows: bool) -> tuple[KernelOption, ...]:
        if by_rows and site.op.rows(site) is None:
            return ()
        size = NodeSize.of(site)
        found = kernels_by_limit(site, target, rounding, by_rows, settings)
        tuned = settings.tuned
        key = candidate_key(site, target, rounding, not by_rows, settings.compact) if tuned.layers else None

        def measured(calls: tuple[KernelCall, ...]) -> int | None:
            return None if key is None or len(calls) != 1 else tuned.cycles_of(key, calls[0])

        return _options(((limit, calls, measured(calls)) for limit, calls in found), by_rows, size, model)

    whole = tuple(options_of(site, False) for site in graph.sites)
    by_rows = tuple(options_of(site, True) for site in graph.sites)
    if all(len(found) < 2 for found in (*whole, *by_rows)):
        return None
    choose = partial(choose_kernels, graph, target, settings)
    return KernelChoices(whole, by_rows, choose)


def _options(
    found: Iterable[tuple[KernelLimit, tuple[KernelCall, ...], int | None]],
    by_rows: bool,
    size: NodeSize,
    model: CycleModel,
) -> tuple[KernelOption, ...]:
    """An option for each limit and its calls.

    Measured cycles, of the whole layer or of all rows one by one, put the model's right where there are any. Kernels
    that were not measured are taken to be off by as much as the last one of their kind with more scratch: else one that
    was not worth measuring could seem the fastest.
    """
    made, factors = [], dict[tuple[str, ...], float]()
    for limit, calls, measured in found:
        shapes = tuple(CallShape.of(call, by_rows) for call in calls)
        scratch = max((call.scratch_bytes for call in calls), default=0)
        work = NodeWork(size, () if by_rows else shapes, shapes if by_rows else ())
        predicted = size.steps * model.cycles(work, 1.0) if by_rows else model.cycles(work)
        kind = tuple(map(kernel_stem, calls))
        if measured is not None and predicted > 0:
            factors[kind] = measured / predicted
        cycles = partial(_cycles_by_rows if by_rows else _cycles_of_layer, model, work, factors.get(kind, 1.0))
        in_place = all(call.is_in_place for call in calls)
        made.append(KernelOption(limit, scratch, in_place, cycles))
    return tuple(made)


def _cycles_by_rows(model: CycleModel, work: NodeWork, factor: float, rows: float) -> float:
    return model.step + factor * model.cycles(work, rows)


def _cycles_of_layer(model: CycleModel, work: NodeWork, factor: float, rows: float) -> float:
    return factor * model.cycles(work)
