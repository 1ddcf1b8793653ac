"""Which kernel family a target gets."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum

from thimble.codegen.armv7em.select import specialise
from thimble.compiler.ir.graph import Graph
from thimble.targets.model import Target


class KernelFamily(Enum):
    """`--kernels`: the target's own kernels where they are better, or portable C everywhere."""

    AUTO = "auto"
    C = "c"


def choose_kernels(graph: Graph, target: Target, family: KernelFamily) -> Graph:
    """The graph with the kernels of `family` for `target`; to be called once all passes are done."""
    has_dsp = "dsp" in target.isa.split("+")
    return replace(graph, specialise=specialise if has_dsp and family is KernelFamily.AUTO else None)
