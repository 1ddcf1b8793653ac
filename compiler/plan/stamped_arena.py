"""A model of the arena in which every byte tells which row of which tile it holds, for the checker of plans."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Array, Span
from thimble.compiler.plan.plan import Buffer, BufferKind, Plan

ROW_UNIT = 4
"""What offsets of rows that lie alone are counted in (THIMBLE_ROW_UNIT of runtime_c/kernels/thimble_rows.h)."""

BLOCK_ALIGNMENT = 16
"""What the address of a block is a multiple of, so that an offset in the arena is aligned as its address is."""


class PlanError(AssertionError):
    """A plan would destroy a tensor that is still needed, or never make it; always a bug in Thimble."""


@dataclass(slots=True)
class StampedTile:
    """Where the rows of a tile lie, and which stamps tell that a byte is theirs: `stamp` + number of the row.

    `starts` holds the offset of each row, by number from the tile's first row. `split` tells whether rows have stamps
    of their own; otherwise all of the tile counts as its only row.
    """

    index: int
    value: int
    rows: Span
    columns: Span
    row_bytes: int
    pixel_bytes: int
    starts: list[int]
    in_one_piece: bool
    split: bool
    versions: list[int] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.row_bytes * (self.rows[1] - self.rows[0])


class StampedArena:
    """Who wrote each byte last. Bytes between which nothing begins or ends share their fate, and one stamp.

    `split` holds the tiles whose rows are written or read one by one, each with the columns at which that begins or
    ends. Raises PlanError where a tile has no place, two, or one outside of the arena.
    """

    def __init__(self, graph: Graph, plan: Plan, split: dict[int, set[int]]) -> None:
        for buffer in plan.buffers:
            if buffer.offset < 0 or buffer.end > plan.arena_bytes:
                raise PlanError(f"{buffer.name} lies outside of the arena")
            if plan.blocks and not any(b.start <= buffer.offset and buffer.end <= b.end for b in plan.blocks):
                raise PlanError(f"{buffer.name} lies in no block of the arena, or in several")
        _check_blocks(plan)
        self._graph, self._plan = graph, plan
        self.tiles = self._place_tiles(split)
        self.scratch = _memory(plan, BufferKind.SCRATCH)
        self.accumulators = _memory(plan, BufferKind.ACCUMULATOR)
        edges = {0, plan.arena_bytes}
        edges.update(edge for b in plan.buffers for edge in (b.offset, b.end))
        for tile in self.tiles.values():
            if tile.split:
                cuts = {(column - tile.columns[0]) * tile.pixel_bytes for column in split[tile.index]}
                cuts.update((0, tile.row_bytes))
                edges.update(start + cut for start in tile.starts for cut in cuts)
        self._edges = {edge: i for i, edge in enumerate(sorted(edges))}
        self._stamps = np.full(len(edges), -1, np.int64)
        self._next = 0

    def renew(self, tile: StampedTile) -> None:
        """Give a tile stamps that nobody has used yet: those of new contents."""
        tile.versions.append(self._next)
        self._next += len(tile.starts) if tile.split else 1

    def write(self, tile: StampedTile, row: int, columns: Span) -> None:
        """Stamp these columns of a row of a tile, counted as in its value."""
        self._row(tile, row, columns)[:] = tile.versions[-1] + row - tile.rows[0]

    def holds(self, tile: StampedTile, row: int, columns: Span, version: int) -> bool:
        """Whether these columns of a row are what was written for them."""
        return bool((self._row(tile, row, columns) == tile.versions[version] + row - tile.rows[0]).all())

    def write_all(self, tile: StampedTile) -> None:
        """Stamp all rows of a tile."""
        if tile.split:
            for row in range(*tile.rows):
                self.write(tile, row, tile.columns)
        else:
            self._all(tile)[:] = tile.versions[-1]

    def holds_all(self, tile: StampedTile, version: int) -> bool:
        """Whether all rows of a tile are what was written for them."""
        if tile.split:
            return all(self.holds(tile, row, tile.columns, version) for row in range(*tile.rows))
        return bool((self._all(tile) == tile.versions[version]).all())

    def stamp(self, buffer: Buffer) -> int:
        """Stamp scratch or an accumulator anew."""
        self._next += 1
        self._between(buffer.offset, buffer.end)[:] = self._next - 1
        return self._next - 1

    def is_intact(self, buffer: Buffer, stamp: int) -> bool:
        """Whether all of a buffer carries a stamp."""
        return bool((self._between(buffer.offset, buffer.end) == stamp).all())

    def row_start(self, tile: StampedTile, row: int, columns: Span) -> int:
        """The offset at which these columns of a row begin."""
        return tile.starts[row - tile.rows[0]] + (columns[0] - tile.columns[0]) * tile.pixel_bytes

    def _row(self, tile: StampedTile, row: int, columns: Span) -> Array:
        start = self.row_start(tile, row, columns)
        return self._between(start, start + (columns[1] - columns[0]) * tile.pixel_bytes)

    def _all(self, tile: StampedTile) -> Array:
        return self._between(tile.starts[0], tile.starts[0] + tile.bytes) if tile.starts else self._stamps[:0]

    def _between(self, start: int, end: int) -> Array:
        return self._stamps[self._edges[start] : self._edges[end]]

    def _place_tiles(self, split: dict[int, set[int]]) -> dict[int, StampedTile]:
        """The tiles that have a place."""
        buffers: dict[int, list[Buffer]] = {}
        for buffer in self._plan.buffers:
            if buffer.tile is not None:
                buffers.setdefault(buffer.tile, []).append(buffer)
        return {index: self._place_tile(index, found, index in split) for index, found in buffers.items()}

    def _place_tile(self, index: int, buffers: list[Buffer], split: bool) -> StampedTile:
        tile = self._plan.tiles[index]
        type_ = self._graph.values[tile.value].type
        what = f"tile {index} of value {tile.value}"
        for span, size in ((tile.rows, type_.rows), (tile.columns, type_.columns)):
            if not 0 <= span[0] <= span[1] <= size:
                raise PlanError(f"{what} is no part of its value")
        pixel = type_.row_bytes // max(type_.columns, 1)
        row_bytes = pixel * (tile.columns[1] - tile.columns[0])
        count = tile.rows[1] - tile.rows[0]
        if any(b.value != tile.value for b in buffers):
            raise PlanError(f"{what} lies in the buffer of another value")
        if len(buffers) == 1 and buffers[0].row is None:
            offset, step = buffers[0].offset, row_bytes
            starts = [offset + step * row for row in range(count)] if split else [offset]
            if buffers[0].bytes != row_bytes * count or offset % type_.dtype.alignment:
                raise PlanError(f"{what} has a buffer of the wrong size or alignment")
        else:
            rows = {b.row: b.offset for b in buffers}
            if len(rows) != len(buffers) or list(range(*tile.rows)) != sorted(row for row in rows if row is not None):
                raise PlanError(f"{what} has rows without a place or with two")
            if any(b.bytes != row_bytes or b.offset % max(ROW_UNIT, type_.dtype.alignment) for b in buffers):
                raise PlanError(f"{what} has a row of the wrong size or alignment")
            starts = [rows[row] for row in range(*tile.rows)]
        whole = buffers[0].row is None
        return StampedTile(index, tile.value, tile.rows, tile.columns, row_bytes, pixel, starts, whole, split)


def _check_blocks(plan: Plan) -> None:
    """Blocks must follow each other without a gap, each in a memory of its own, and at a multiple of its alignment."""
    end = 0
    for block in plan.blocks:
        if block.start != end or block.bytes <= 0 or block.start % BLOCK_ALIGNMENT:
            raise PlanError(f"the block in {block.memory or 'the main RAM'} does not lie behind the one before")
        end = block.end
    if plan.blocks and (end != plan.arena_bytes or len({b.memory for b in plan.blocks}) != len(plan.blocks)):
        raise PlanError("the blocks are not the arena, or two lie in one memory")


def _memory(plan: Plan, kind: BufferKind) -> dict[int | None, Buffer]:
    """The scratch or accumulator of each stage."""
    found: dict[int | None, Buffer] = {}
    for buffer in plan.buffers:
        if buffer.kind is kind:
            first = found.setdefault(buffer.stage, buffer)
            if (first.offset, first.bytes) != (buffer.offset, buffer.bytes):
                raise PlanError(f"{buffer.name} lies in several places")
    return found
