"""How much scratch the target's own kernels may take: what is fast wants memory, and the objective says how much.

Each limit gives a graph with other kernels. They are compared by the live bytes of their smallest schedules, which
the planner finds without a layout, and by the cycles that the cost model gives.
"""

from __future__ import annotations

from dataclasses import replace

from thimble.codegen.kernels import KernelFamily, choose_kernels
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import check_input_feed, plan_options, sram_limit
from thimble.compiler.ir.graph import Graph, Role
from thimble.compiler.plan.cycles import cycle_model
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.options import Objective
from thimble.compiler.plan.planner import least_live_bytes
from thimble.targets.model import Target

SCRATCH_LIMITS: tuple[int | None, ...] = (None, 4096, 2048, 1024, 512, 0)
"""Bytes a kernel call, the fastest kernels first."""

CODE_BYTES = 48 << 10
"""More than the code and the small tables of a model take as a rule."""


def fit_kernels(graph: Graph, target: Target, options: CompileOptions) -> tuple[Graph, int | None]:
    """The graph with the kernels that suit the objective, and the limit of scratch that they were chosen by.

    `latency` sets no limit and `sram` none but 0. `balanced` takes the least product of live bytes and cycles, as both
    then count by their ratio; of what fits, where anything does. Raises UsageError where an option does not suit the
    model.
    """
    check_input_feed(graph, options)
    if options.kernels is KernelFamily.C or options.objective is Objective.LATENCY:
        return choose_kernels(
            graph, target, options.kernels, None, _spare_flash_bytes(graph, target, options), options.tuned
        ), None
    if options.objective is Objective.SRAM:
        return choose_kernels(graph, target, options.kernels, 0), 0
    asked = replace(plan_options(options, None), effort=0.0)
    model, priced = cycle_model(target.name), []
    for rank, limit in enumerate(SCRATCH_LIMITS):
        variant = choose_kernels(graph, target, options.kernels, limit, tuned=options.tuned)
        if variant.specialise is None:
            return variant, None
        live = least_live_bytes(variant, options.rounding, asked)
        beyond = max(live - sram_limit(target, options), 0)
        cycles = sum(model.cycles(NodeWork.of(site, options.rounding)) for site in variant.sites)
        priced.append((beyond, live * cycles, rank, variant, limit))
    *_, best, limit = min(priced, key=lambda item: item[:3])
    return best, limit


def _spare_flash_bytes(graph: Graph, target: Target, options: CompileOptions) -> int:
    """Flash that larger weights may take, which is far less than what is left of the limit: code is not known yet."""
    asked = options.max_flash_bytes
    limit = target.flash_bytes if asked is None else min(target.flash_bytes, asked)
    constants = sum(value.type.bytes for value in graph.values if value.role is Role.CONSTANT)
    return limit - constants * 5 // 4 - CODE_BYTES
