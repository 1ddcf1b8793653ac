"""Which kernel family a target gets."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from functools import partial

from thimble.codegen.armv7em.core import core_of
from thimble.codegen.armv7em.select import specialise
from thimble.compiler.ir.graph import Graph
from thimble.targets.model import Target


class KernelFamily(Enum):
    """`--kernels`: the target's own kernels where they are better, or portable C everywhere."""

    AUTO = "auto"
    C = "c"


def choose_kernels(
    graph: Graph,
    target: Target,
    family: KernelFamily,
    scratch_limit_bytes: int | None = None,
    compact: bool = False,
) -> Graph:
    """The graph with the kernels of `family` for `target`; to be called once all passes are done.

    No specialised kernel takes more scratch than the limit, where there is one. `compact` kernels give a few percent of
    the cycles for less flash.
    """
    core = core_of(target, compact)
    if core is None or family is KernelFamily.C:
        return replace(graph, specialise=None)
    return replace(graph, specialise=partial(specialise, core=core, scratch_limit_bytes=scratch_limit_bytes))
