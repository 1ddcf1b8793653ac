"""How a kernel can be made otherwise than by default: what `--tune` tries, and what it found to be faster."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from thimble.compiler.ir.errors import ThimbleError
from thimble.compiler.ir.operator import KernelCall


@dataclass(frozen=True, slots=True)
class Variant:
    """A way to make a kernel; what is empty or 0 is left to the family.

    `form` names one of the kernels that can do the same layer. `at_once` is the size of a portion: rows, windows,
    pixels or channels, by the kernel. `unroll` is the most steps in a turn of the inner loop.
    """

    form: str = ""
    at_once: int = 0
    unroll: int = 0

    @property
    def text(self) -> str:
        """The variant in a word, such as rows4u2; "default" where all is left to the family."""
        at_once = str(self.at_once) if self.at_once else ""
        return f"{self.form}{at_once}{f'u{self.unroll}' if self.unroll else ''}" or "default"


DEFAULT = Variant()

Maker = Callable[[], KernelCall | None]


def first_made(makers: Mapping[str, Maker], variant: Variant) -> KernelCall | None:
    """The first kernel that can do a layer, of all or of the one form that the variant asks for."""
    if variant.form and variant.form not in makers:
        raise ThimbleError(f"There is no form '{variant.form}' of this kernel.")
    chosen = [makers[variant.form]] if variant.form else makers.values()
    return next((call for make in chosen if (call := make()) is not None), None)
