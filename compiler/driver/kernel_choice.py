"""How much scratch the target's own kernels may take: what is fast wants memory, and the objective says how much.

Each limit gives a graph with other kernels. They are compared by the live bytes of their smallest schedules, which
the planner finds without a layout, and by a rough count of cycles.
"""

from __future__ import annotations

from dataclasses import replace

from thimble.codegen.kernels import KernelFamily, choose_kernels
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import check_input_feed, plan_options, sram_limit
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.plan.options import Objective
from thimble.compiler.plan.planner import least_live_bytes
from thimble.targets.model import Target

SCRATCH_LIMITS: tuple[int | None, ...] = (None, 4096, 2048, 1024, 512, 0)
"""Bytes a kernel call, the fastest kernels first."""

CYCLES_PER_MAC = {(False, False): 20.0, (False, True): 1.6, (True, False): 28.0, (True, True): 4.0}
"""By whether the operator is depthwise and whether its kernel is specialised: docs/kernels.md, rounded. Kernels of one
graph differ by more than the rounding, and only the order of whole graphs counts."""

CYCLES_PER_ELEMENT = 20.0
"""An output element of everything without multiply-accumulates."""


def fit_kernels(graph: Graph, target: Target, options: CompileOptions) -> tuple[Graph, int | None]:
    """The graph with the kernels that suit the objective, and the limit of scratch that they were chosen by.

    `latency` sets no limit and `sram` none but 0. `balanced` takes the least product of live bytes and cycles, as both
    then count by their ratio; of what fits, where anything does. Raises UsageError where an option does not suit the
    model.
    """
    check_input_feed(graph, options)
    if options.kernels is KernelFamily.C or options.objective is Objective.LATENCY:
        return choose_kernels(graph, target, options.kernels), None
    if options.objective is Objective.SRAM:
        return choose_kernels(graph, target, options.kernels, 0, compact=True), 0
    asked = replace(plan_options(options, None), effort=0.0)
    priced = []
    for rank, limit in enumerate(SCRATCH_LIMITS):
        variant = choose_kernels(graph, target, options.kernels, limit, compact=True)
        if variant.specialise is None:
            return variant, None
        live = least_live_bytes(variant, options.rounding, asked)
        beyond = max(live - sram_limit(target, options), 0)
        cycles = sum(_cycles(site, options.rounding) for site in variant.sites)
        priced.append((beyond, live * cycles, rank, variant, limit))
    *_, best, limit = min(priced, key=lambda item: item[:3])
    return best, limit


def _cycles(site: Site, rounding: Rounding) -> float:
    """A rough count of a node's cycles."""
    macs = site.op.macs(site)
    if not macs:
        return CYCLES_PER_ELEMENT * sum(value.type.elements for value in site.outputs)
    specialised = any(call.source is not None for call in site.lower(rounding))
    return macs * CYCLES_PER_MAC[isinstance(site.op, DepthwiseConv2D), specialised]
