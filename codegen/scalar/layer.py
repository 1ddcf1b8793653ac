"""What all kernels with weights share: blocks of output channels, and the constants of their requantization."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen.kernel_tools.plain_layer import PlainLayer
from thimble.codegen.kernel_tools.requantize import PlainRequantization, Requantization
from thimble.codegen.scalar.core import Core
from thimble.compiler.ir.operator import Array, Table

MAX_UNROLL = 2


@dataclass(frozen=True, slots=True)
class Tail:
    """How a sum becomes an output, as far as it is compiled in: thimble_rounding of thimble_scalar.h."""

    scale_bits: int
    rounds_ties: bool
    by_halves: bool

    @property
    def name(self) -> str:
        """A short name that tells tails apart."""
        return f"s{self.scale_bits}{'t' * self.rounds_ties}{'h' * self.by_halves}"


@dataclass(frozen=True, slots=True)
class BlockForm:
    """What a function is generated for that makes a `block` of outputs at a time; `unroll` divides the depth."""

    block: int
    unroll: int
    tail: Tail

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"b{self.block}u{self.unroll}_{self.tail.name}"


def fuse_tail(layer: PlainLayer, core: Core) -> tuple[Tail, Requantization] | None:
    """The requantization of a layer, one scale for all channels; None where nothing can be proved.

    Where functions are shared, all round ties, also those whose outputs stop at the zero point, where it is the same.
    """
    plain = PlainRequantization(layer.multipliers, layer.shifts, layer.bounds, layer.output_zero_point)
    constants = plain.with_equal_bits()
    if constants is None:
        return None
    return Tail(constants.uniform_bits, layer.rounds_ties or core.compact, not core.long_multiply), constants


def block_size(channels: int, most: int) -> int:
    """Channels at a time: of the sizes that leave the fewest places of the last block empty, the largest."""
    sizes = range(1, min(channels, most) + 1)
    return min(sizes, key=lambda n: (-(-channels // n), -(-channels // n) * n))


def unroll_of(depth: int, most: int = 0) -> int:
    """Inputs of one turn of the loop over `depth` of them, which it divides; `most` if that is not 0."""
    return next(n for n in range(most or MAX_UNROLL, 0, -1) if depth % n == 0)


def blocked_weights(weights: Array, block: int) -> Table:
    """(blocks, depth, block) int8 from weights (channels, depth): the channels of a block side by side, 0 behind."""
    channels, depth = weights.shape
    blocks = -(-channels // block)
    padded = np.zeros((blocks * block, depth), np.int8)
    padded[:channels] = weights
    return Table("weights", padded.reshape(blocks, block, depth).transpose(0, 2, 1).copy())


def constant_tables(start: Array, constants: Requantization, block: int) -> tuple[Table, Table]:
    """(channels, 2) int32 of starts and multipliers, and (channels,) int8 of last shifts, in full blocks."""
    channels = len(start)
    places = -(-channels // block) * block
    pairs, shifts = np.zeros((places, 2), np.int32), np.ones(places, np.int8)
    pairs[:channels, 0], pairs[:channels, 1] = start, constants.multipliers
    shifts[:channels] = constants.shifts
    return Table("constants", pairs), Table("shifts", shifts)
