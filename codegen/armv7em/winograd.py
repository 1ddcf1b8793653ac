"""Winograd's F(4x4, 3x3) over integers modulo 2**32: 36 multiplications for 16 outputs of 9 each, and no rounding.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", with the points 0, 1, -1, 2, -2. All fractions are
moved to the end: with the integer rows

    G = (3 0 0) (1 1 1) (1 -1 1) (1 2 4) (1 -2 4) (0 0 3)
    B = (4 0 -5 0 1 0) (0 -4 -4 1 1 0) (0 4 -4 -1 1 0) (0 -2 -1 2 1 0) (0 2 -1 -2 1 0) (0 4 0 -5 0 1)
    A = (2 -4 -4 1 1 0) (0 -2 2 1 -1 0) (0 -1 -1 1 1 0) (0 -1 1 2 -2 2)      for 24, 12, 6 and 6 times the output

output (y, x) of a tile comes out as 576 / 2**(f[y] + f[x]) times the sum, f = (0, 1, 2, 2), modulo 2**32. Times the
inverse of 9 and 2**(f[y] + f[x]) that is 64 times the sum: exactly, wherever it stays below 2**31.

Inputs are transformed with 128 added, so that two of them lie in one word: up to the last step an addition of words is
one of both lanes, whatever the borrow between them, which that step takes back. No lane leaves 16 bits.
"""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.armv7em.assembly import MAX_OFFSET

POSITIONS = 36
SCALE_BITS = 6
"""Sums come out scaled by 64 = 576 / 9."""

INVERSE_OF_9 = 0x38E38E39
"""Modulo 2**32."""

OUTPUT_BITS = (0, 1, 2, 2)
"""f: what each row of A lacks to 24 times the output, as a power of 2."""

MAX_UNROLL, LONGEST_UNROLL = 8, 32
"""Pairs of input channels in a turn, and where the instruction cache has room for more, which are STEP_BYTES each."""

STEP_BYTES, GROUP_BYTES = 52, 160
"""Code of a pair of input channels, and of what is around all of them."""

TILE_BYTES = 2 * POSITIONS * 4
"""Products of one tile and two channels."""


@dataclass(frozen=True, slots=True)
class WinogradForm:
    """What the functions of a layer are generated for.

    `channels` are the input's, `outputs` the output's; `width` of the output in pixels; `tiles` are transformed and
    multiplied at once. A turn of the products' loop has room for `loop_bytes` of code.
    """

    channels: int
    outputs: int
    width: int
    tiles: int
    rounds_ties: bool
    loop_bytes: int = 0

    @property
    def name(self) -> str:
        """A short name that tells forms apart."""
        return f"{self.channels}x{self.outputs}w{self.width}n{self.tiles}{'t' * self.rounds_ties}"

    @property
    def row_bytes(self) -> int:
        """Of an output row."""
        return self.width * self.outputs

    @property
    def window_bytes(self) -> int:
        """Of an input row with its borders."""
        return (self.width + 2) * self.channels

    @property
    def position_bytes(self) -> int:
        """Of transformed inputs of all tiles for one position."""
        return 2 * self.tiles * self.channels

    @property
    def unroll(self) -> int:
        """Pairs of input channels in one turn of the inner loop."""
        most = min(max((self.loop_bytes - GROUP_BYTES) // STEP_BYTES, MAX_UNROLL), LONGEST_UNROLL)
        return next(n for n in range(most, 0, -1) if self.channels // 2 % n == 0)

    @property
    def row_cycles(self) -> int:
        """Cycles of four outputs in a row: 8 for loads, 10 and 7 for the transform, 16 or 24, and 6 for the loop."""
        return 55 if self.rounds_ties else 47

    @property
    def fits(self) -> bool:
        """Whether all offsets can be encoded."""
        offsets = (
            2 * self.position_bytes + 4,
            6 * self.channels + 4 * self.unroll,
            6 * self.channels,
            4 * self.outputs,
        )
        amounts = (self.row_bytes, self.window_bytes, self.tiles * TILE_BYTES)
        return max(offsets) <= MAX_OFFSET and max(amounts) < 1 << 16
