"""Which kernels a target gets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Protocol

from thimble.codegen.armv7em.core import core_of
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
from thimble.compiler.plan.kernels import NO_LIMIT
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
    scratch_limits: Sequence[int] | int | None = None,
) -> Graph:
    """The graph with the kernels that `target` has; to be called once all passes are done.

    No specialised kernel takes more scratch than the limit, where there is one: for all nodes, or one for each. Below
    0, kernels are plain C.
    """
    own = _own_kernels(target, settings)
    if own is None:
        return replace(graph, specialise=None)
    limits = scratch_limits if isinstance(scratch_limits, Sequence) else [scratch_limits] * len(graph.nodes)
    return replace(graph, specialise=tuple(partial(own, scratch_limit_bytes=limit) for limit in limits))


def most_winograd_bytes(graph: Graph, target: Target, spare_flash_bytes: int) -> int:
    """The flash that a layer's transformed weights may take for all of them to fit into the spare; 0 for no layer."""
    return 0 if core_of(target) is None else winograd_limit(graph, spare_flash_bytes)


def kernels_by_scratch(
    site: Site, target: Target, rounding: Rounding, by_rows: bool, settings: KernelSettings
) -> Iterator[tuple[int, tuple[KernelCall, ...]]]:
    """The calls of a node for each limit of scratch that changes them, from none at all down to plain C."""
    own, limit = _own_kernels(target, settings), NO_LIMIT
    plain = site.op.lower_rows(site, rounding) if by_rows else site.op.lower(site, rounding)
    while own is not None and limit >= 0:
        found = [own(site, call, not by_rows, scratch_limit_bytes=limit) for call in plain]
        if not any(found):
            break
        calls = tuple(better or call for better, call in zip(found, plain, strict=True))
        yield limit, calls
        limit = max(better.scratch_bytes for better in found if better is not None) - 1
    yield -1, plain


def own_call(
    site: Site, call: KernelCall, whole: bool, target: Target, settings: KernelSettings, limit_bytes: int = NO_LIMIT
) -> KernelCall | None:
    """The call that a target takes in place of a plain one within a limit of scratch; None where plain C stays."""
    own = _own_kernels(target, settings)
    return None if own is None else own(site, call, whole, scratch_limit_bytes=limit_bytes)


def kernels_with_own_form(target: Target) -> frozenset[str]:
    """The plain kernels in whose place a target has others, for some layers at least."""
    if has_mve(target):
        return frozenset(ARMV81M_KERNELS)
    dsp = ARMV7EM_KERNELS if core_of(target) is not None else {}
    scalar = SCALAR_KERNELS if scalar_core_of(target) is not None else {}
    return frozenset((*dsp, *scalar))


class _OwnKernels(Protocol):
    """The kernels of a family: a call with the same bytes within a limit of scratch, None where there is none."""

    def __call__(
        self, site: Site, call: KernelCall, whole: bool, *, scratch_limit_bytes: int | None
    ) -> KernelCall | None: ...


def _own_kernels(target: Target, settings: KernelSettings) -> _OwnKernels | None:
    """The kernels of a target's core; None where plain C is all there is, or asked for.

    Scalar ones, which need little scratch, stand in where those for DSP instructions want more than there is.
    """
    if settings.family is KernelFamily.C:
        return None
    if has_mve(target):
        return partial(specialise_armv81m, tuned=settings.tuned)
    families: list[_OwnKernels] = []
    dsp, scalar = core_of(target), scalar_core_of(target)
    if dsp is not None:
        core = replace(dsp, winograd_bytes=settings.winograd_bytes, compact=settings.compact)
        families.append(partial(specialise_armv7em, core=core, tuned=settings.tuned))
    if scalar is not None:
        alone = dsp is None
        own_core = replace(scalar, compact=settings.compact and not alone)
        families.append(partial(specialise_scalar, core=own_core, tuned=settings.tuned if alone else NOT_TUNED))
    return partial(_first_of, tuple(families)) if families else None


def _first_of(
    families: tuple[_OwnKernels, ...], site: Site, call: KernelCall, whole: bool, *, scratch_limit_bytes: int | None
) -> KernelCall | None:
    found = (family(site, call, whole, scratch_limit_bytes=scratch_limit_bytes) for family in families)
    return next((better for better in found if better is not None), None)
