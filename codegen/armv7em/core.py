"""What the kernels of this family must know of the core."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv7em.pipeline import Pipeline, pipeline_of
from thimble.codegen.variants import DEFAULT, Variant
from thimble.targets.model import Target

CACHE_SHARE = 4
"""This part of an instruction cache may be one loop: what is around it stays there too."""


@dataclass(frozen=True, slots=True)
class Core:
    """`has_fpu`: FPU registers may hold what core registers have no room for. `has_floats`: it computes with floats.

    `winograd_bytes`: most flash that one layer's transformed weights may take; 0 keeps to the direct kernels.
    `compact`: flash counts as much as cycles; layers share functions, and weights are packed closer, where that costs
    few cycles.
    `in_place`: kernels must leave the operator's overlaps as they are.
    `variant`: how kernels are made where there is a choice. `pipeline`: what instructions are put in order for; None
    for the order in which kernels are written, which is that of the Cortex-M4. `cache_bytes`: of the instruction
    cache, which says how long loops may be.
    """

    has_fpu: bool
    winograd_bytes: int = 0
    compact: bool = False
    in_place: bool = False
    variant: Variant = DEFAULT
    pipeline: Pipeline | None = None
    has_floats: bool = True
    cache_bytes: int = 0

    @property
    def loop_bytes(self) -> int:
        """Code that a loop may have beyond what suits the smallest caches; 0 where flash counts as much as cycles."""
        return 0 if self.compact else self.cache_bytes // CACHE_SHARE


def core_of(target: Target) -> Core | None:
    """The core of a target, None where it lacks the DSP instructions.

    Cores with a pipeline keep variables on the stack: a load pairs with a product, and its word is there sooner than
    one that comes from an FPU register.
    """
    extensions = target.isa.split("+")[1:]
    if "dsp" not in extensions:
        return None
    pipeline, has_fpu = pipeline_of(target.core), any(e.startswith("fp") for e in extensions)
    cache = target.flash_cache
    cache_bytes = cache.instruction_lines * cache.line_bytes if cache else 0
    return Core(has_fpu and pipeline is None, pipeline=pipeline, has_floats=has_fpu, cache_bytes=cache_bytes)
