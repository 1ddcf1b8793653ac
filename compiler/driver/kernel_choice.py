"""The kernels that a target has for each node of a graph, with what they take: what the planner chooses from."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import ceil

from thimble.codegen.kernels import KernelFamily, choose_kernels, kernels_by_scratch, most_winograd_bytes
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.ir.graph import Graph, Role, Site
from thimble.compiler.ir.operator import KernelCall, Table
from thimble.compiler.ops.depthwise_conv_2d import DepthwiseConv2D
from thimble.compiler.plan.kernels import KernelChoices, KernelOption
from thimble.compiler.plan.options import Objective
from thimble.targets.model import Target

CYCLES_PER_MAC = {(False, False): 20.0, (False, True): 1.3, (True, False): 28.0, (True, True): 4.0}
"""By whether the operator is depthwise and whether its kernel is specialised: docs/kernels.md, rounded."""

CYCLES_PER_WINOGRAD_MAC = 0.5
"""A multiply-accumulate of the layer's own, not of its transform."""

CYCLES_PER_VECTOR_MAC: Mapping[str, float] = {
    "conv_2d_mve": 0.25,
    "conv_2d_rows_mve": 0.2,
    "depthwise_conv_2d_mve": 1.5,
    "fully_connected_mve": 0.25,
}
"""By the beginning of a vector kernel's name; the memory that holds its weights does not make it wait."""

CODE_BYTES = 48 << 10
"""More than the code and the small tables of a model take as a rule."""

CYCLES_PER_ELEMENT = 20.0
"""An output element of everything without multiply-accumulates."""

CYCLES_PER_WEIGHT = 0.9
"""A byte of packed weights from flash."""

CYCLES_PER_CALL = 900.0


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
        steps = form.steps if form else 1
        whole.append(_options_of(site, target, options, False, steps, winograd_bytes))
        by_rows.append(_options_of(site, target, options, True, steps, winograd_bytes) if form else ())
    if all(len(found) < 2 for found in (*whole, *by_rows)):
        return None
    choose = partial(choose_kernels, graph, target, options.kernels, winograd_bytes=winograd_bytes)
    return KernelChoices(whole, by_rows, choose)


def _options_of(
    site: Site, target: Target, options: CompileOptions, by_rows: bool, steps: int, winograd_bytes: int
) -> tuple[KernelOption, ...]:
    found = []
    for limit, calls in kernels_by_scratch(site, target, options.rounding, by_rows, winograd_bytes):
        scratch = max((call.scratch_bytes for call in calls), default=0)
        found.append(KernelOption(limit, scratch, all(c.overlaps for c in calls), partial(_cycles, site, calls, steps)))
    return tuple(found)


def _cycles(site: Site, calls: tuple[KernelCall, ...], steps: int, rows: float) -> float:
    """A rough count of the cycles of one call for some rows."""
    share, macs = min(rows / max(steps, 1), 1.0) if rows else 1.0, site.op.macs(site)
    if not macs:
        return CYCLES_PER_CALL + share * CYCLES_PER_ELEMENT * sum(value.type.elements for value in site.outputs)
    total, depthwise = CYCLES_PER_CALL, isinstance(site.op, DepthwiseConv2D)
    for call in calls:
        vector = next((cost for name, cost in CYCLES_PER_VECTOR_MAC.items() if call.kernel.startswith(name)), None)
        if vector is not None:
            total += share * macs * vector
            continue
        tables = sum(a.data.nbytes for a in call.arguments if isinstance(a, Table))
        winograd = call.kernel.startswith("conv_2d_winograd")
        total += (
            share * macs * (CYCLES_PER_WINOGRAD_MAC if winograd else CYCLES_PER_MAC[depthwise, call.source is not None])
        )
        total += CYCLES_PER_WEIGHT * tables * _portions(site, call, share)
    return total


def _portions(site: Site, call: KernelCall, share: float) -> int:
    """How often a call goes over its weights."""
    sizes = {name: value for name, value in call.params if isinstance(value, int)}
    type_ = site.output().type
    pixels = share * type_.elements / max(type_.shape[-1], 1)
    at_once = sizes.get("columns") or sizes.get("pixels_at_once") or sizes.get("rows_at_once", 1) * type_.columns
    if sizes.get("kernel_height") == sizes.get("kernel_width") == 1:
        at_once = max(at_once, sizes.get("row_pixels", 1))
    return ceil(pixels / at_once) if call.source is not None else 0
