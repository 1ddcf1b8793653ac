"""Which kernel family a target gets."""

from __future__ import annotations

from dataclasses import replace
from enum import Enum
from functools import partial

from thimble.codegen.armv7em.core import core_of
from thimble.codegen.armv7em.select import specialise
from thimble.codegen.armv7em.winograd_layer import winograd_limit
from thimble.codegen.tuned import NOT_TUNED, TunedKernels
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
    spare_flash_bytes: int = 0,
    tuned: TunedKernels = NOT_TUNED,
) -> Graph:
    """The graph with the kernels of `family` for `target`; to be called once all passes are done.

    No specialised kernel takes more scratch than the limit, where there is one. Weights are transformed for fewer
    cycles as far as that takes no more than `spare_flash_bytes`. Of kernels that were measured (`tuned`), the fastest
    is taken.
    """
    core = core_of(target)
    if core is None or family is KernelFamily.C:
        return replace(graph, specialise=None)
    core = replace(core, winograd_bytes=winograd_limit(graph, spare_flash_bytes))
    return replace(
        graph, specialise=partial(specialise, core=core, scratch_limit_bytes=scratch_limit_bytes, tuned=tuned)
    )
