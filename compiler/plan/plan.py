"""The plan: each buffer's place in the arena and the steps during which it is live."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from thimble.compiler.ir.operator import Array, Span

ROW_UNIT = 4
"""What offsets of rows that lie alone are counted in (THIMBLE_ROW_UNIT of runtime_c/kernels/thimble_rows.h)."""

ADDRESSABLE_BYTES = ROW_UNIT << 16
"""The first offset that a table of uint16_t cannot hold: rows that lie alone must begin before it."""


class BufferKind(Enum):
    """What a buffer is for."""

    INPUT = "input"
    OUTPUT = "output"
    STATE = "state"
    ACTIVATION = "activation"
    SCRATCH = "scratch"
    ACCUMULATOR = "accumulator"


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes [offset, offset + bytes) of the arena, live from step `first_step` to step `last_step`, both included.

    `tile` is the tile that it holds, whole and its rows one behind the other, or the one row `row` of it; `value` is
    the tile's graph value. `stage` is the stage that scratch or an accumulator belongs to, which have neither. Scratch
    has a buffer for each step of its stage, all at one offset.
    """

    name: str
    kind: BufferKind
    offset: int
    bytes: int
    first_step: int
    last_step: int
    value: int | None = None
    stage: int | None = None
    tile: int | None = None
    row: int | None = None

    @property
    def end(self) -> int:
        """First offset behind the buffer."""
        return self.offset + self.bytes


@dataclass(frozen=True, slots=True)
class View:
    """A graph value that needs no buffer: it is the contents of the buffer of another, `base`, as they are."""

    value: int
    base: int


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a graph value that is stored: these rows and these columns of it (TensorType.rows, columns)."""

    value: int
    rows: Span
    columns: Span


@dataclass(frozen=True, slots=True)
class Stage:
    """A node over one part of its output: these rows and columns.

    A node may have several stages, side by side (patches, strips) or as a repetition (computed twice). `inputs` and
    `outputs` are tiles; None for constants and absent inputs. `node` None is the input being read by rows.
    """

    node: int | None
    inputs: tuple[int | None, ...]
    outputs: tuple[int, ...]
    rows: Span
    columns: Span


@dataclass(frozen=True, slots=True)
class Step:
    """A stage's steps [first, end), counted from the stage's own first row (RowForm)."""

    stage: int
    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Guard:
    """A stage that runs only where the graph value `flag`, a single bool that was made before, is `wanted`."""

    stage: int
    flag: int
    wanted: bool


@dataclass(frozen=True, slots=True)
class Block:
    """Bytes [start, end) of the arena, which lie in the memory `memory` of the chip, apart from its other blocks.

    A block that is the whole arena lies in any RAM if its memory has no name.
    """

    memory: str
    start: int
    bytes: int

    @property
    def end(self) -> int:
        """First offset behind the block."""
        return self.start + self.bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """A complete schedule and arena. `bound_bytes` is a proved size that no layout of these buffers can be below.

    `steps` run in order; each stage's steps cover it in order. The nodes that make `views` do nothing at their step;
    the buffer of a view's base lives as long as its views. The arena is divided into `blocks`, one behind the other:
    offsets count through all of them, and no buffer lies in two. Without any, the arena is one block of any RAM.
    The steps of stages with `guards` are left out by what the values of an inference are; a value that only such a
    stage makes has a buffer that others may use at the steps that do not run where the stage does.
    """

    buffers: tuple[Buffer, ...]
    stages: tuple[Stage, ...]
    tiles: tuple[Tile, ...]
    steps: tuple[Step, ...]
    arena_bytes: int
    bound_bytes: int
    views: tuple[View, ...] = ()
    blocks: tuple[Block, ...] = ()
    guards: tuple[Guard, ...] = ()

    def block_at(self, offset: int) -> Block:
        """The block that holds the byte at an offset."""
        return next((b for b in self.blocks if offset < b.end), Block("", 0, self.arena_bytes))

    def value_offset(self, value: int) -> int:
        """Arena offset of a graph value that is stored whole, its rows one behind the other."""
        home = next((view.base for view in self.views if view.value == value), value)
        return next(b.offset for b in self.buffers if b.value == home and b.row is None)

    def is_view(self, value: int) -> bool:
        """Whether a graph value is nothing but the contents of another one's buffer."""
        return any(view.value == value for view in self.views)

    def bytes_of(self, *kinds: BufferKind) -> int:
        """Sum of the sizes of all buffers of these kinds."""
        return sum(b.bytes for b in self.buffers if b.kind in kinds)

    @property
    def scratch_bytes(self) -> int:
        """The largest scratch memory of any step."""
        return max((b.bytes for b in self.buffers if b.kind is BufferKind.SCRATCH), default=0)

    def live_bytes(self, step: int) -> int:
        """Bytes of the arena that hold something at a step: an output that lies over an operand shares its bytes."""
        return int(self._live_bytes()[step])

    @property
    def peak_step(self) -> int:
        """The first step at which the most bytes are live."""
        return int(self._live_bytes().argmax()) if self.steps else 0

    def _live_bytes(self) -> Array:
        """Live bytes by step."""
        live, tops = np.zeros((2, len(self.steps)), np.int64)
        for b in sorted(self.buffers, key=lambda b: b.offset):
            steps = slice(b.first_step, b.last_step + 1)
            live[steps] += np.maximum(b.end - np.maximum(tops[steps], b.offset), 0)
            np.maximum(tops[steps], b.end, out=tops[steps])
        return live
