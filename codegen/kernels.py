"""Which kernels a target gets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Protocol

from thimble.codegen.armv7em.core import Core, core_of
from thimble.codegen.armv7em.select import KERNELS as ARMV7EM_KERNELS
from thimble.codegen.armv7em.select import specialise as specialise_armv7em
from thimble.codegen.armv7em.winograd_layer import winograd_limit
from thimble.codegen.armv81m.select import KERNELS as ARMV81M_KERNELS
from thimble.codegen.armv81m.select import has_mve
from thimble.codegen.armv81m.select import specialise as specialise_armv81m
from thimble.codegen.scalar.core import core_of as scalar_core_of
from thimble.codegen.scalar.select import KERNELS as SCALAR_KERNELS
from thimble.codegen.scalar.select import specialise as specialise_scalar
from thimble.codegen.tuned import NOT_TUNED, TunedKernels
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import KernelCall, Rounding
from thimble.compiler.plan.kernels import PLAIN, UNLIMITED, KernelLimit
from thimble.targets.model import Target


class KernelFamily(Enum):
    """`--kernels`: the target's own kernels where they are better, or portable C everywhere."""

    AUTO = "auto"
    C = "c"


@dataclass(frozen=True, slots=True)
class KernelSettings:
    """How kernels are to be made, for all layers of a network.

    A layer's weights are transformed for fewer cycles where that takes no more flash than `winograd_bytes`. `compact`
    kernels give some percent of the cycles for less flash. Of kernels that were measured (`tuned`), the fastest is
    taken.
    """

    family: KernelFamily = KernelFamily.AUTO
    winograd_bytes: int = 0
    compact: bool = False
    tuned: TunedKernels = NOT_TUNED


def choose_kernels(
    graph: Graph,
    target: Target,
    settings: KernelSettings = KernelSettings(),
    limits: Sequence[KernelLimit] | KernelLimit = UNLIMITED,
) -> Graph:
    """The graph with the kernels that `target` has, within a limit for all nodes or one for each; to be called once all
    passes are done."""
    own = _own_kernels(target, settings)
    if own is None:
        return replace(graph, specialise=None)
    limits = [limits] * len(graph.nodes) if isinstance(limits, KernelLimit) else limits
    return replace(graph, specialise=tuple(partial(own, limit=limit) for limit in limits))


def most_winograd_bytes(graph: Graph, target: Target, spare_flash_bytes: int) -> int:
    """The flash that a layer's transformed weights may take for all of them to fit into the spare; 0 for no layer."""
    return 0 if core_of(target) is None else winograd_limit(graph, spare_flash_bytes)


def kernels_by_limit(
    site: Site, target: Target, rounding: Rounding, by_rows: bool, settings: KernelSettings
) -> Iterator[tuple[KernelLimit, tuple[KernelCall, ...]]]:
    """The calls of a node for each limit that changes them: the fastest ones first, plain C last."""
    plain = site.op.lower_rows(site, rounding) if by_rows else site.op.lower(site, rounding)
    for limit, found in own_calls(site, plain, not by_rows, target, settings):
        yield limit, tuple(better or call for better, call in zip(found, plain, strict=True))
    yield PLAIN, plain


def own_calls(
    site: Site, plain: Sequence[KernelCall], whole: bool, target: Target, settings: KernelSettings
) -> Iterator[tuple[KernelLimit, list[KernelCall | None]]]:
    """What a target takes in place of plain calls of a node, None where these stay, for each limit that changes it.

    First with less and less scratch; then, where some of these must keep off their input, those that need not.
    """
    own, keeps_off = _own_kernels(target, settings), False
    for apart in (True, False):
        limit = KernelLimit(apart=apart)
        while own is not None and limit.scratch_bytes >= 0 and (apart or keeps_off):
            found = [own(site, call, whole, limit=limit) for call in plain]
            made = [call for call in found if call is not None]
            if not made:
                break
            keeps_off = keeps_off or not all(call.is_in_place for call in made)
            yield limit, found
            limit = limit.lowered(max(call.scratch_bytes for call in made) - 1)


def own_call(site: Site, call: KernelCall, whole: bool, target: Target, settings: KernelSettings) -> KernelCall | None:
    """The fastest call that a target takes in place of a plain one, without a limit; None where plain C stays."""
    return next((found[0] for _, found in own_calls(site, [call], whole, target, settings)), None)


def kernels_with_own_form(target: Target) -> frozenset[str]:
    """The plain kernels in whose place a target has others, for some layers at least."""
    if has_mve(target):
        return frozenset(ARMV81M_KERNELS)
    dsp = ARMV7EM_KERNELS if core_of(target) is not None else {}
    scalar = SCALAR_KERNELS if scalar_core_of(target) is not None else {}
    return frozenset((*dsp, *scalar))


class _OwnKernels(Protocol):
    """The kernels of a target: a call with the same bytes within a limit, None where there is none."""

    def __call__(self, site: Site, call: KernelCall, whole: bool, *, limit: KernelLimit) -> KernelCall | None: ...


def _own_kernels(target: Target, settings: KernelSettings) -> _OwnKernels | None:
    """The kernels of a target's core; None where plain C is all there is, or asked for.

    Scalar ones, which need little scratch, stand in where those for DSP instructions want more than there is.
    """
    if settings.family is KernelFamily.C:
        return None
    if has_mve(target):
        return partial(_first_of, (_within(partial(specialise_armv81m, tuned=settings.tuned)),))
    families: list[_OwnKernels] = []
    dsp, scalar = core_of(target), scalar_core_of(target)
    if dsp is not None:
        core = replace(dsp, winograd_bytes=settings.winograd_bytes, compact=settings.compact)
        families.append(partial(_dsp_call, core, settings.tuned))
    if scalar is not None:
        alone = dsp is None
        own_core = replace(scalar, compact=settings.compact and not alone)
        tuned = settings.tuned if alone else NOT_TUNED
        families.append(_within(partial(specialise_scalar, core=own_core, tuned=tuned)))
    return partial(_first_of, tuple(families)) if families else None


def _dsp_call(
    core: Core, tuned: TunedKernels, site: Site, call: KernelCall, whole: bool, *, limit: KernelLimit
) -> KernelCall | None:
    core = replace(core, in_place=not limit.apart)
    return specialise_armv7em(site, call, whole, core, limit.scratch_bytes, tuned)


def _within(specialise: Callable[..., KernelCall | None]) -> _OwnKernels:
    """The kernels of a family that knows of limits of scratch alone."""

    def own(site: Site, call: KernelCall, whole: bool, *, limit: KernelLimit) -> KernelCall | None:
        return specialise(site, call, whole, scratch_limit_bytes=limit.scratch_bytes)

    return own


def _first_of(
    families: tuple[_OwnKernels, ...], site: Site, call: KernelCall, whole: bool, *, limit: KernelLimit
) -> KernelCall | None:
    found = (family(site, call, whole, limit=limit) for family in families)
    return next((better for better in found if better is not None and (limit.apart or better.is_in_place)), None)
