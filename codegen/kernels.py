"""Which kernel family a target gets."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from functools import partial

from thimble.codegen.armv7em.core import core_of
from thimble.codegen.armv7em.select import specialise as specialise_armv7em
from thimble.codegen.armv81m.select import has_mve
from thimble.codegen.armv81m.select import specialise as specialise_armv81m
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
    return replace(graph, specialise=_specialise(target, family, scratch_limit_bytes))


def _specialise(target: Target, family: KernelFamily, scratch_limit_bytes: int | None) -> Specialise | None:
    if family is KernelFamily.C:
        return None
    if has_mve(target):
        return partial(specialise_armv81m, scratch_limit_bytes=scratch_limit_bytes)
    core = core_of(target)
    if core is None:
        return None
    return partial(specialise_armv7em, core=core, scratch_limit_bytes=scratch_limit_bytes)
