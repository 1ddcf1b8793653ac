"""Which depthwise convolutions become parts of the convolutions before them: those that then take fewer cycles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from thimble.codegen.kernels import KernelFamily, kernels_by_limit
from thimble.compiler.driver.chip_costs import chip_costs
from thimble.compiler.driver.open_model import Model
from thimble.compiler.driver.options import InputFeed
from thimble.compiler.driver.planning import with_fused_depthwise
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import KernelCall
from thimble.compiler.ops.conv_2d_depthwise import Conv2DDepthwise
from thimble.compiler.passes.fuse_depthwise import fuse_depthwise
from thimble.compiler.passes.pipeline import FUSE_DEPTHWISE
from thimble.compiler.plan.call_shape import CallShape, NodeSize
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.options import Objective, Schedule
from thimble.compiler.plan.plan import Plan

Planned = tuple[Model, Plan]

Make = Callable[[Graph, int], Planned]
"""Plans a graph within a limit of bytes."""

BYTES_FOR_CYCLES = 20
"""Percent by which the arena may grow for each percent of cycles that fused nodes save."""

LIMITS = 8
"""Arenas that are tried between those with fused nodes and without."""


def fused_if_faster(model: Model, make: Make, planned: Planned, limit_bytes: int) -> Planned:
    """What `make` makes of a model's graph with fused depthwise convolutions, where cycles are what counts, it is
    predicted to take fewer, and its arena stays within the limit or that of what was `planned` without them.

    Bands take fewer bytes and some more cycles: of plans with arenas down to that without fused nodes, the one is
    taken whose cycles and further bytes cost the least.
    """
    positions = fused_at(model) if _are_tried(model) else ()
    found = _fused(model, make, positions, limit_bytes)
    if found is None:
        return planned
    tried, least_bytes = [planned, found], planned[1].arena_bytes
    more_bytes = max(found[1].arena_bytes - least_bytes, 0)
    for step in range(1, LIMITS + 1):
        most_bytes = least_bytes + more_bytes * (LIMITS - step) // LIMITS
        if tried[-1][1].arena_bytes > most_bytes:
            found = _fused(model, make, positions, most_bytes)
            if found is None or found[1].arena_bytes > most_bytes:
                break  # less takes the planner long, and is not found
            tried.append(found)
    fitting = [each for each in tried if each[1].arena_bytes <= max(limit_bytes, least_bytes)]
    return min(fitting, key=lambda each: _price(each, planned), default=planned)


def _price(found: Planned, apart: Planned) -> float:
    """What the cycles and the bytes of a plan cost, of the one without fused nodes 1; bytes up to its arena are
    free."""
    growth = max(found[1].arena_bytes / apart[1].arena_bytes - 1, 0.0)
    return _predicted(found) / max(_predicted(apart), 1) + growth / BYTES_FOR_CYCLES


def _fused(model: Model, make: Make, positions: tuple[int, ...], limit_bytes: int) -> Planned | None:
    """The plan with those fused that stand there and have kernels of the target within what scratch a plan within a
    limit leaves them; None where there are none."""
    while positions:
        made, plan = make(with_fused_depthwise(model.plain, positions), limit_bytes)
        kept = tuple(at for at, calls in zip(positions, _fused_calls(made), strict=True) if _is_own(calls))
        if kept == positions:
            return replace(made, plain=model.plain, fused_depthwise=positions), plan
        positions = kept
    return None


def _fused_calls(model: Model) -> list[tuple[KernelCall, ...]]:
    """The kernels of the fused nodes of a planned graph."""
    sites = (site for site in model.graph.sites if isinstance(site.op, Conv2DDepthwise))
    return [site.lower(model.options.rounding) for site in sites]


def fused_at(model: Model) -> tuple[int, ...]:
    """Where depthwise convolutions stand in a model's graph that would take fewer cycles as parts of those before."""
    found = list[int]()

    def chooses(position: int, site: Site) -> bool:
        assert isinstance(site.op, Conv2DDepthwise)
        apart = site.op.convolution_site(site), site.op.depthwise_site(site)
        together, *alone = (_fastest(model, one) for one in (site, *apart))
        is_faster = _is_own(together) and _cycles(model, site, together) < sum(
            _cycles(model, one, calls) for one, calls in zip(apart, alone, strict=True)
        )
        if is_faster:
            found.append(position)
        return is_faster

    fuse_depthwise(model.plain, chooses)
    return tuple(found)


def _are_tried(model: Model) -> bool:
    """Kernels of two layers are for whole ones, and take more scratch."""
    options = model.options
    return (
        options.objective is Objective.LATENCY
        and options.schedule in (Schedule.AUTO, Schedule.LAYER)
        and options.input is InputFeed.RESIDENT
        and options.kernels is KernelFamily.AUTO
        and FUSE_DEPTHWISE.name not in options.disabled_passes
    )


def _is_own(calls: tuple[KernelCall, ...]) -> bool:
    """Whether kernels are generated ones."""
    return all(call.source is not None and call.source.files for call in calls)


def _fastest(model: Model, site: Site) -> tuple[KernelCall, ...]:
    """The kernels of a node whole, without a limit of scratch."""
    return next(kernels_by_limit(site, model.target, model.options.rounding, False, model.settings))[1]


def _cycles(model: Model, site: Site, calls: tuple[KernelCall, ...]) -> float:
    """Of these kernels of a node, as predicted."""
    work = NodeWork(NodeSize.of(site), tuple(CallShape.of(call, False) for call in calls))
    return chip_costs(model.target, model.options).cycles(work)


def _predicted(planned: Planned) -> int:
    """The cycles that a plan is predicted to take."""
    return planned[0].predicted_cycles or 0
