"""Which depthwise convolutions become parts of the pointwise ones before them: those that then take fewer cycles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from thimble.codegen.kernels import KernelFamily, kernels_by_scratch
from thimble.compiler.driver.open_model import Model
from thimble.compiler.driver.options import InputFeed
from thimble.compiler.driver.planning import with_fused_depthwise
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import KernelCall
from thimble.compiler.ops.conv_2d_depthwise import Conv2DDepthwise
from thimble.compiler.passes.fuse_depthwise import fuse_depthwise
from thimble.compiler.passes.pipeline import FUSE_DEPTHWISE
from thimble.compiler.plan.call_shape import CallShape, NodeSize
from thimble.compiler.plan.cycles import cycle_model
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.options import Objective, Schedule
from thimble.compiler.plan.plan import Plan

Planned = tuple[Model, Plan]


def fused_if_faster(model: Model, make: Callable[[Graph], Planned], planned: Planned, limit_bytes: int) -> Planned:
    """What `make` makes of a model's graph with fused depthwise convolutions, where cycles are what counts, it is
    predicted to take fewer, and its arena stays within the limit or that of what was `planned` without them."""
    positions = fused_at(model) if _are_tried(model) else ()
    while positions:
        fused, plan = make(with_fused_depthwise(model.plain, positions))
        kept = _with_own_kernels(fused, positions)
        if kept == positions:
            fits = plan.arena_bytes <= max(limit_bytes, planned[1].arena_bytes)
            is_faster = (fused.predicted_cycles or 0) < (planned[0].predicted_cycles or 0)
            made = replace(fused, plain=model.plain, fused_depthwise=positions)
            return (made, plan) if fits and is_faster else planned
        positions = kept
    return planned


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


def _with_own_kernels(model: Model, positions: tuple[int, ...]) -> tuple[int, ...]:
    """The positions of those fused nodes that have kernels of the target within the scratch that the plan left them."""
    sites = (site for site in model.graph.sites if isinstance(site.op, Conv2DDepthwise))
    rounding = model.options.rounding
    return tuple(at for at, site in zip(positions, sites, strict=True) if _is_own(site.lower(rounding)))


def _is_own(calls: tuple[KernelCall, ...]) -> bool:
    """Whether kernels are generated ones."""
    return all(call.source is not None and call.source.files for call in calls)


def _fastest(model: Model, site: Site) -> tuple[KernelCall, ...]:
    """The kernels of a node whole, without a limit of scratch."""
    return next(kernels_by_scratch(site, model.target, model.options.rounding, False, model.settings))[1]


def _cycles(model: Model, site: Site, calls: tuple[KernelCall, ...]) -> float:
    """Of these kernels of a node, as predicted."""
    work = NodeWork(NodeSize.of(site), tuple(CallShape.of(call, False) for call in calls))
    return cycle_model(model.target.name).cycles(work)
