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

LEAST_CYCLES_A_BYTE = 1
"""What a fused node must save for each byte that the arena grows by."""


def fused_if_faster(model: Model, make: Callable[[Graph], Planned], planned: Planned, limit_bytes: int) -> Planned:
    """What `make` makes of a model's graph with fused depthwise convolutions, where cycles are what counts, it is
    predicted to take fewer, and its arena stays within the limit or that of what was `planned` without them.

    The one with the most scratch stays apart where it saves less than a cycle for each byte that the arena grows by.
    """
    found = _fused(model, make, fused_at(model)) if _are_tried(model) else None
    while found is not None:
        fewer = _fused(model, make, _without_largest(found[0])) or planned
        saved_bytes = found[1].arena_bytes - fewer[1].arena_bytes
        if saved_bytes <= 0 or _predicted(fewer) - _predicted(found) > LEAST_CYCLES_A_BYTE * saved_bytes:
            break
        found = None if fewer is planned else fewer
    if found is None:
        return planned
    fits = found[1].arena_bytes <= max(limit_bytes, planned[1].arena_bytes)
    return found if fits and _predicted(found) < _predicted(planned) else planned


def _fused(model: Model, make: Callable[[Graph], Planned], positions: tuple[int, ...]) -> Planned | None:
    """The plan with those fused that stand there and have kernels of the target within what scratch the plan leaves
    them; None where there are none."""
    while positions:
        made, plan = make(with_fused_depthwise(model.plain, positions))
        kept = tuple(at for at, calls in zip(positions, _fused_calls(made), strict=True) if _is_own(calls))
        if kept == positions:
            return replace(made, plain=model.plain, fused_depthwise=positions), plan
        positions = kept
    return None


def _without_largest(model: Model) -> tuple[int, ...]:
    """The positions of a model's fused nodes but that of the one with the most scratch."""
    scratch = [max(call.scratch_bytes for call in calls) for calls in _fused_calls(model)]
    largest = scratch.index(max(scratch))
    return tuple(at for i, at in enumerate(model.fused_depthwise) if i != largest)


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
