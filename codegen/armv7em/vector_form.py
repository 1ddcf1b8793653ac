"""What a function of a fully connected layer is generated for."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv7em.sums import Arithmetic


@dataclass(frozen=True, slots=True)
class VectorForm:
    """What one function is generated for: `block` channels at a time, `unroll` steps in a turn of the inner loop.

    `shares_constants`: all channels have one multiplier, addend and shift, as with weights of one scale. Weights of
    fewer than 8 `weight_bits`: narrow_vector.py. `direct`: the row is widened in registers whenever it is read, and not
    once for all blocks.
    """

    arithmetic: Arithmetic
    block: int
    unroll: int
    shares_constants: bool
    weight_bits: int = 8
    direct: bool = False

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        narrow = f"_w{self.weight_bits}" if self.is_narrow else ""
        flags = f"{'s' * self.shares_constants}{'d' * self.direct}"
        return f"{self.block}u{self.unroll}{self.arithmetic.name}{flags}{narrow}"

    @property
    def is_narrow(self) -> bool:
        """Whether several weights share a byte."""
        return self.weight_bits < 8

    @property
    def step(self) -> int:
        """Weights of a channel in a word: the values of the row in a step of the inner loop."""
        return 32 // self.weight_bits

    @property
    def step_bytes(self) -> int:
        """Bytes of the row, as it is read, in a step of the inner loop."""
        return self.step if self.direct else 2 * self.step

    @property
    def sums(self) -> tuple[str, ...]:
        """The registers of the sums."""
        return ("r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11")[: self.block]
