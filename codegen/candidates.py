"""The kernels that a layer can have on a target: what `--tune` measures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from thimble.codegen.armv7em.core import Core, core_of
from thimble.codegen.armv7em.select import specialise, variants
from thimble.codegen.armv81m.select import has_mve
from thimble.codegen.kernel_tools.limits import NO_LIMIT
from thimble.codegen.tuned import Measured, kernel_stem, layer_key
from thimble.codegen.variants import DEFAULT, Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall, Rounding
from thimble.targets.model import Target

MAX_SCRATCH_BYTES = 24 << 10
"""Variants that need more are not worth their memory; what families do by themselves is always tried."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A kernel call of a layer, and the variant that makes it."""

    variant: Variant
    call: KernelCall

    def measured(self, cycles: int) -> Measured:
        """The candidate with the cycles that it took."""
        return Measured(self.variant, kernel_stem(self.call), self.call.scratch_bytes, self.call.overlaps, cycles)


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """All kernels of a layer that make whole tensors (`whole`) or rows, without two that are the same; `key` is the
    layer's in a table of tuned kernels."""

    key: str
    site: Site
    whole: bool
    kernels: tuple[Candidate, ...]


def candidate_key(site: Site, target: Target, rounding: Rounding, whole: bool, compact: bool) -> str | None:
    """The key of a layer in a table of tuned kernels; None where it has no choice of kernels."""
    if _tunable_core(target) is None or (not whole and site.op.rows(site) is None):
        return None
    plain = site.op.lower(site, rounding) if whole else site.op.lower_rows(site, rounding)
    return layer_key(site, plain[0], whole, compact) if len(plain) == 1 and variants(plain[0], whole) else None


def layer_candidates(
    site: Site, target: Target, rounding: Rounding, whole: bool, flash_bytes: int = 0, compact: bool = False
) -> Candidates | None:
    """The candidates of a layer; None where there is no choice. Up to `flash_bytes` may be spent on larger weights."""
    core, key = _tunable_core(target), candidate_key(site, target, rounding, whole, compact)
    if core is None or key is None:
        return None
    core = replace(core, winograd_bytes=flash_bytes, compact=compact)
    (plain,) = site.op.lower(site, rounding) if whole else site.op.lower_rows(site, rounding)
    found: dict[object, Candidate] = {}
    for candidate in _all(site, plain, core, whole):
        call = candidate.call
        found.setdefault((call.kernel, call.scratch_bytes, call.params), candidate)
    return Candidates(key, site, whole, tuple(found.values())) if len(found) > 1 else None


def _tunable_core(target: Target) -> Core | None:
    """The core of a target whose family has variants."""
    return None if has_mve(target) else core_of(target)


def _all(site: Site, plain: KernelCall, core: Core, whole: bool) -> Iterator[Candidate]:
    """What the family makes within each limit of scratch that changes it, then all variants."""
    limit = NO_LIMIT
    while limit >= 0:
        call = specialise(site, plain, whole, core, limit)
        if call is None:
            break
        yield Candidate(DEFAULT, call)
        limit = call.scratch_bytes - 1
    for variant in variants(plain, whole):
        call = specialise(site, plain, whole, replace(core, variant=variant), MAX_SCRATCH_BYTES)
        if call is not None:
            yield Candidate(variant, call)
