"""Which kernel family a target gets."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from functools import partial

from thimble.codegen.armv7em.core import core_of
from thimble.codegen.armv7em.select import specialise
from thimble.codegen.scalar.core import core_of as scalar_core_of
from thimble.codegen.scalar.select import specialise as specialise_scalar
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Specialise
from thimble.targets.model import Target


class KernelFamily(Enum):
    """`--kernels`: the target's own kernels where they are better, or portable C everywhere."""

    AUTO = "auto"
    C = "c"


def choose_kernels(graph: Graph, target: Target, family: KernelFamily, scratch_limit_bytes: int | None = None) -> Graph:
    """The graph with the kernels of `family` for `target`; to be called once all passes are done.

    No specialised kernel takes more scratch than the limit, where there is one.
    """
    core, scalar = core_of(target), scalar_core_of(target)
    chosen: Specialise | None = None
    if family is KernelFamily.AUTO and core is not None:
        chosen = partial(specialise, core=core, scratch_limit_bytes=scratch_limit_bytes)
    elif family is KernelFamily.AUTO and scalar is not None:
        chosen = partial(specialise_scalar, core=scalar, scratch_limit_bytes=scratch_limit_bytes)
    return replace(graph, specialise=chosen)
