"""Which kernels a target gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from enum import Enum
from functools import partial

from thimble.codegen.armv7em.core import NO_LIMIT, core_of
from thimble.codegen.armv7em.select import specialise
from thimble.codegen.armv7em.winograd_layer import winograd_limit
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import KernelCall, Rounding
from thimble.targets.model import Target


class KernelFamily(Enum):
    """`--kernels`: the target's own kernels where they are better, or portable C everywhere."""

    AUTO = "auto"
    C = "c"


def choose_kernels(
    graph: Graph,
    target: Target,
    family: KernelFamily,
    scratch_limits: Sequence[int] | int | None = None,
    winograd_bytes: int = 0,
) -> Graph:
    """The graph with the kernels of `family` for `target`; to be called once all passes are done.

    No specialised kernel takes more scratch than the limit, where there is one: for all nodes, or one for each. Below
    0, kernels are plain C. A layer's weights are transformed for fewer cycles where that takes no more flash than
    `winograd_bytes`.
    """
    core = core_of(target)
    if core is None or family is KernelFamily.C:
        return replace(graph, specialise=None)
    core = replace(core, winograd_bytes=winograd_bytes)
    limits = scratch_limits if isinstance(scratch_limits, Sequence) else [scratch_limits] * len(graph.nodes)
    return replace(graph, specialise=tuple(partial(specialise, core=core, scratch_limit_bytes=n) for n in limits))


def most_winograd_bytes(graph: Graph, target: Target, spare_flash_bytes: int) -> int:
    """The flash that a layer's transformed weights may take for all of them to fit into the spare; 0 for no layer."""
    return 0 if core_of(target) is None else winograd_limit(graph, spare_flash_bytes)


def kernels_by_scratch(
    site: Site, target: Target, rounding: Rounding, by_rows: bool, winograd_bytes: int = 0
) -> Iterator[tuple[int, tuple[KernelCall, ...]]]:
    """The calls of a node for each limit of scratch that changes them, from none at all down to plain C."""
    core, limit = core_of(target), NO_LIMIT
    plain = site.op.lower_rows(site, rounding) if by_rows else site.op.lower(site, rounding)
    if core is not None:
        core = replace(core, winograd_bytes=winograd_bytes)
    while core is not None and limit >= 0:
        found = [specialise(site, call, not by_rows, core, limit) for call in plain]
        if not any(found):
            break
        calls = tuple(own or call for own, call in zip(found, plain, strict=True))
        yield limit, calls
        limit = max(call.scratch_bytes for call in calls if call.source is not None) - 1
    yield -1, plain
