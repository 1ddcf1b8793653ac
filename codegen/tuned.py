"""Kernels that were measured for layers of one shape: `--tune` fills the table, and kernels are chosen by it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from thimble.codegen.kernel_tools.sizes import sizes_of
from thimble.codegen.variants import DEFAULT, Variant
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall
from thimble.compiler.plan.kernels import NO_LIMIT

NOT_SHAPE = ("zero_point", "output_min", "output_max", "multiplier", "shift")
"""Parts of the names of parameters that say nothing of a layer's shape; a depthwise `multiplier` is always 1 here."""

MOST_OF_DEFAULT = 0.99
"""Of the default kernel's cycles, what another may take: less would be lost where code lies in other cache lines."""

FAMILY = re.compile(r"(.+?_(?:dsp|mve|scalar))(?:_|$)")
"""What the names of generated kernels begin with: the kernel, then the instructions that it is for."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A kernel of a layer, made by `variant`, and the cycles of a whole inference of that layer.

    `kernel` is its name without what depends on the weights.
    """

    variant: Variant
    kernel: str
    scratch_bytes: int
    overlaps: bool
    cycles: int

    @property
    def row(self) -> list[str | int]:
        """The kernel as files hold it."""
        way = (self.variant.form, self.variant.at_once, self.variant.unroll)
        return [*way, self.kernel, self.scratch_bytes, int(self.overlaps), self.cycles]

    @classmethod
    def of_row(cls, row: list[Any]) -> Measured:
        """A kernel from a file. Raises TypeError or ValueError where it is none."""
        form, at_once, unroll, kernel, scratch, overlaps, cycles = row
        variant = Variant(str(form), int(at_once), int(unroll))
        return cls(variant, str(kernel), int(scratch), bool(overlaps), int(cycles))

    def is_default(self, call: KernelCall) -> bool:
        """Whether it is what the family makes by itself, where that is `call`."""
        return self.variant == DEFAULT and self.is_like(call)

    def is_like(self, call: KernelCall) -> bool:
        """Whether a call is of this kernel and works in portions of this size."""
        return (self.kernel, self.scratch_bytes) == (kernel_stem(call), call.scratch_bytes)


@dataclass(frozen=True, slots=True)
class TunedKernels:
    """What was measured, by layer_key."""

    layers: Mapping[str, tuple[Measured, ...]] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, list[list[str | int]]]:
        """The table as report.json keeps it."""
        return {key: [kernel.row for kernel in kernels] for key, kernels in self.layers.items()}

    @classmethod
    def of_rows(cls, rows: Mapping[str, list[list[Any]]]) -> TunedKernels:
        """The table of a report. Raises AttributeError, TypeError or ValueError where it is none."""
        return cls({key: tuple(map(Measured.of_row, kernels)) for key, kernels in rows.items()})

    def call_of(
        self,
        site: Site,
        plain: KernelCall,
        whole: bool,
        limit_bytes: int | None,
        make: Callable[[Variant, int], KernelCall | None],
        variant: Variant = DEFAULT,
        compact: bool = False,
    ) -> KernelCall | None:
        """What `make` gives for a layer with some bytes of scratch: the one variant that is asked for, else the kernel
        that was measured to be the fastest, else the default. None where there is none within the limit.
        """
        limit = NO_LIMIT if limit_bytes is None else limit_bytes

        def within(way: Variant) -> KernelCall | None:
            made = make(way, limit)
            return None if made is None or made.scratch_bytes > limit else made

        call = within(variant)
        if call is None or variant != DEFAULT or not self.layers:
            return call
        return self.choose(layer_key(site, plain, whole, compact), call, limit, within)

    def cycles_of(self, key: str, call: KernelCall) -> int | None:
        """The cycles that a call of a layer took, of all rows where it runs by rows; None where it was not measured."""
        return min((m.cycles for m in self.layers.get(key, ()) if m.is_like(call)), default=None)

    def choose(
        self, key: str, default: KernelCall, limit_bytes: int, make: Callable[[Variant], KernelCall | None]
    ) -> KernelCall:
        """The fastest kernel within a limit of scratch, the default one unless another was measured to gain 1%.

        One that has to keep off its input is not taken in place of one that need not: the arena would grow.
        """
        measured = self.layers.get(key, ())
        own = next((m for m in measured if m.is_default(default)), None)
        if own is None:
            return default
        for faster in sorted(measured, key=lambda m: (m.cycles, m.scratch_bytes)):
            if faster.cycles > MOST_OF_DEFAULT * own.cycles:
                break
            if faster.scratch_bytes <= limit_bytes and (faster.overlaps or not default.overlaps):
                made = make(faster.variant)
                if made is not None and faster.is_like(made):
                    return made
        return default


NOT_TUNED = TunedKernels()


def kernel_stem(call: KernelCall) -> str:
    """A generated kernel's name as far as the instructions that it is for: conv_2d_rows_dsp."""
    found = FAMILY.match(call.kernel)
    return found.group(1) if found else call.kernel


def layer_key(site: Site, call: KernelCall, whole: bool, compact: bool) -> str:
    """What tells the layers of a network apart that may have different kernels: operator, shape, kind of output limits.

    `call` is the plain kernel's; `compact` kernels are others.
    """
    numbers = sizes_of(call)
    shape = [str(value) for name, value in numbers.items() if not any(part in name for part in NOT_SHAPE)]
    low, high, zero = (numbers.get(name, 0) for name in ("output_min", "output_max", "output_zero_point"))
    limits = "c" * ((low, high) != (-128, 127)) + "t" * (low < zero)
    batch = "x".join(map(str, site.output().type.shape[:-2]))
    return (
        f"{call.kernel} {batch} {','.join(shape)} {limits or '-'} {'layer' if whole else 'rows'}{' compact' * compact}"
    )
