"""Which depthwise convolutions become parts of the pointwise ones before them: those that are predicted to take less."""

from __future__ import annotations

from collections.abc import Collection

from thimble.codegen.kernels import KernelSettings, kernels_by_scratch
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.ops.conv_2d_depthwise import Conv2DDepthwise
from thimble.compiler.passes.fuse_depthwise import fuse_depthwise
from thimble.compiler.passes.pipeline import REMOVE_DEAD, run_passes
from thimble.compiler.plan.cycles import CycleModel, cycle_model
from thimble.compiler.plan.call_shape import CallShape, NodeSize
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.targets.model import Target


def fused_at(graph: Graph, target: Target, rounding: Rounding, settings: KernelSettings) -> tuple[int, ...]:
    """Where depthwise convolutions stand in a graph that would take fewer cycles as parts of those before them."""
    model, found = cycle_model(target.name), list[int]()

    def chooses(position: int, site: Site) -> bool:
        assert isinstance(site.op, Conv2DDepthwise)
        apart = site.op.convolution_site(site), site.op.depthwise_site(site)
        alone = [_cycles(one, target, rounding, settings, model) for one in apart]
        together = _cycles(site, target, rounding, settings, model)
        is_faster = together is not None and together < sum(cycles or 0.0 for cycles in alone)
        if is_faster:
            found.append(position)
        return is_faster

    fuse_depthwise(graph, chooses)
    return tuple(found)


def with_fused_depthwise(graph: Graph, positions: Collection[int]) -> Graph:
    """The graph with the depthwise convolutions that stand there fused; itself where there are none."""
    fused = fuse_depthwise(graph, lambda position, site: position in positions)
    return graph if fused is graph else run_passes(fused, (REMOVE_DEAD,))


def _cycles(
    site: Site, target: Target, rounding: Rounding, settings: KernelSettings, model: CycleModel
) -> float | None:
    """Of a node whole with the kernels that it has without a limit of scratch; None where they are plain C alone."""
    _, calls = next(kernels_by_scratch(site, target, rounding, False, settings))
    if all(call.source is None or not call.source.files for call in calls):
        return None
    return model.cycles(NodeWork(NodeSize.of(site), tuple(CallShape.of(call, False) for call in calls)))
