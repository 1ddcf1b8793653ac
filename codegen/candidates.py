"""The kernels that a layer can have on a target: what `--tune` measures."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from thimble.codegen.armv7em import select as armv7em
from thimble.codegen.armv7em.core import core_of
from thimble.codegen.armv81m import select as armv81m
from thimble.codegen.armv81m.select import has_mve
from thimble.codegen.kernel_tools.sizes import Sizes, sizes_of
from thimble.codegen.scalar import select as scalar_kernels
from thimble.codegen.scalar.core import core_of as scalar_core_of
from thimble.codegen.tuned import Measured, kernel_stem, layer_key
from thimble.codegen.variants import DEFAULT, Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall, Rounding
from thimble.compiler.plan.kernels import NO_LIMIT
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
    family = family_of(target, compact=compact)
    if family is None or (not whole and site.op.rows(site) is None):
        return None
    plain = site.op.lower(site, rounding) if whole else site.op.lower_rows(site, rounding)
    if len(plain) != 1 or not family.variants(plain[0], whole):
        return None
    return layer_key(site, plain[0], whole, family.compact)


def layer_candidates(
    site: Site, target: Target, rounding: Rounding, whole: bool, flash_bytes: int = 0, compact: bool = False
) -> Candidates | None:
    """The candidates of a layer; None where there is no choice. Up to `flash_bytes` may be spent on larger weights."""
    family, key = family_of(target, flash_bytes, compact), candidate_key(site, target, rounding, whole, compact)
    if family is None or key is None:
        return None
    (plain,) = site.op.lower(site, rounding) if whole else site.op.lower_rows(site, rounding)
    found: dict[object, Candidate] = {}
    for candidate in _all(site, plain, family, whole):
        call = candidate.call
        found.setdefault((call.kernel, call.scratch_bytes, call.params), candidate)
    return Candidates(key, site, whole, tuple(found.values())) if len(found) > 1 else None


@dataclass(frozen=True, slots=True)
class Family:
    """A target's family of kernels: the call that it makes of a plain one, and in what other ways it can.

    `folder` is that of its generator, under codegen and runtime_c. `compact` where its kernels differ by that.
    """

    folder: str
    make: Callable[[Site, KernelCall, bool, int | None, Variant], KernelCall | None]
    ways: Mapping[str, Callable[[Sizes, bool], tuple[Variant, ...]]]
    compact: bool = False

    def variants(self, call: KernelCall, whole: bool) -> tuple[Variant, ...]:
        """Ways to make the kernel of a plain call that may be faster than the default one; not all are possible."""
        return self.ways[call.kernel](sizes_of(call), whole) if call.kernel in self.ways else ()


def family_of(target: Target, flash_bytes: int = 0, compact: bool = False) -> Family | None:
    """The family of a target's core; None where it has plain C alone."""
    if has_mve(target):
        return Family("armv81m", armv81m.specialise, armv81m.VARIANTS)
    dsp, scalar = core_of(target), scalar_core_of(target)
    if dsp is not None:
        core = replace(dsp, winograd_bytes=flash_bytes, compact=compact)

        def make(site: Site, plain: KernelCall, whole: bool, limit: int | None, way: Variant) -> KernelCall | None:
            return armv7em.specialise(site, plain, whole, replace(core, variant=way), limit)

        return Family("armv7em", make, armv7em.VARIANTS, compact)
    if scalar is None:
        return None

    def make_scalar(site: Site, plain: KernelCall, whole: bool, limit: int | None, way: Variant) -> KernelCall | None:
        return scalar_kernels.specialise(site, plain, whole, replace(scalar, variant=way), limit)

    return Family("scalar", make_scalar, scalar_kernels.VARIANTS)


def _all(site: Site, plain: KernelCall, family: Family, whole: bool) -> Iterator[Candidate]:
    """What the family makes within each limit of scratch that changes it, then all variants."""
    limit = NO_LIMIT
    while limit >= 0:
        call = family.make(site, plain, whole, limit, DEFAULT)
        if call is None:
            break
        yield Candidate(DEFAULT, call)
        limit = call.scratch_bytes - 1
    for variant in family.variants(plain, whole):
        call = family.make(site, plain, whole, MAX_SCRATCH_BYTES, variant)
        if call is not None:
            yield Candidate(variant, call)
