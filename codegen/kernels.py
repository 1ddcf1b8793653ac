"""Which kernels a target gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial

from thimble.codegen.armv7em.core import NO_LIMIT, Core, core_of
from thimble.codegen.armv7em.select import specialise
from thimble.codegen.armv7em.winograd_layer import winograd_limit
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import KernelCall, Rounding
from thimble.targets.model import Target


class KernelFamily(Enum):
    """`--kernels`: the target's own kernels where they are better, or portable C everywhere."""

    AUTO = "auto"
    C = "c"


def own_core(graph: Graph, target: Target, family: KernelFamily, spare_flash_bytes: int = 0) -> Core | None:
    """What the target's own kernels of a graph must know; None where it has none, or is to have plain C.

    Weights are transformed for fewer cycles as far as that takes no more than `spare_flash_bytes`.
    """
    core = core_of(target)
    if core is None or family is KernelFamily.C:
        return None
    return replace(core, winograd_bytes=winograd_limit(graph, spare_flash_bytes))


def choose_kernels(graph: Graph, core: Core | None, scratch_limits: Sequence[int] | None = None) -> Graph:
    """The graph with a core's own kernels, or with plain C where there is none; to be called once all passes are done.

    No specialised kernel takes more scratch than the limit of its node, where there are any; below 0, it is plain C.
    """
    if core is None:
        return replace(graph, specialise=None)
    limits = [NO_LIMIT] * len(graph.nodes) if scratch_limits is None else scratch_limits
    return replace(graph, specialise=tuple(partial(specialise, core=core, scratch_limit_bytes=n) for n in limits))


def kernels_by_scratch(
    site: Site, core: Core, rounding: Rounding, by_rows: bool
) -> Iterator[tuple[int, tuple[KernelCall, ...]]]:
    """The calls of a node for each limit of scratch that changes them, from none at all down to plain C."""
    limit = NO_LIMIT
    plain = site.op.lower_rows(site, rounding) if by_rows else site.op.lower(site, rounding)
    while limit >= 0:
        found = [specialise(site, call, not by_rows, core, limit) for call in plain]
        if not any(found):
            break
        calls = tuple(own or call for own, call in zip(found, plain, strict=True))
        yield limit, calls
        limit = max(call.scratch_bytes for call in calls if call.source is not None) - 1
    yield -1, plain
