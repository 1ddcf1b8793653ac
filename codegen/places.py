"""Where the rows of tiles lie in the arena, and the tables of their offsets that stand in flash."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from thimble.codegen import c_text
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Span
from thimble.compiler.plan.plan import ADDRESSABLE_BYTES, ROW_UNIT, Block, Buffer, Plan, Tile


@dataclass(frozen=True, slots=True)
class BlockPointer:
    """What begins at offset `start` of the arena, as a C expression: the arena itself, or one of its blocks."""

    expression: str = "arena"
    start: int = 0

    def address(self, offset: int) -> str:
        """The address of an offset in the arena, as a C expression."""
        return f"{self.expression} + {offset - self.start}"


def block_name(block: Block) -> str:
    """What the block in a memory is called in C."""
    return c_text.identifier(block.memory)


def block_pointer(plan: Plan, offset: int, arena: str = "arena") -> BlockPointer:
    """The block that holds an offset: functions are handed a struct of blocks, or where there is one, `arena`."""
    if len(plan.blocks) < 2:
        return BlockPointer(arena)
    block = plan.block_at(offset)
    return BlockPointer(f"arena->{block_name(block)}", block.start)


@dataclass(frozen=True, slots=True)
class RowTable:
    """Offsets of rows from the start of their block, in units of ROW_UNIT: a constant array in flash."""

    name: str
    elements: int
    lines: tuple[str, ...]
    comment: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a tensor in the arena: row y begins at `offset` + `pitch` * y, or where there is a table, at
    `offset` + ROW_UNIT * table[y]. All of them lie in one `block`.

    `table` is a C expression, empty where the rows lie evenly apart. `packed` tells whether they lie one behind the
    other, `count` how many they are, of `row_bytes` bytes each.
    """

    offset: int
    pitch: int
    table: str
    count: int
    row_bytes: int
    block: BlockPointer

    @property
    def packed(self) -> bool:
        """Whether the rows lie one behind the other, with nothing in between."""
        return not self.table and (self.pitch == self.row_bytes or self.count == 1)

    @property
    def bytes(self) -> int:
        """Bytes of all rows."""
        return self.count * self.row_bytes

    def initializer(self) -> str:
        """The rows as a `thimble_rows`."""
        step = f".offsets = {self.table}" if self.table else f".row_bytes = {self.pitch}"
        return f"{{.base = {self._base()}, {step}}}"

    def row(self, index: str) -> str:
        """The address of a row; `index` is a C expression, which stands in parentheses where it must."""
        if self.table:
            table = self.table if "+" not in self.table else f"({self.table})"
            return f"{self._base()} + THIMBLE_ROW_UNIT * {table}[{index}]"
        factor = f"({index})" if " " in index else index
        return self._base() if self.count == 1 else f"{self._base()} + {self.pitch} * {factor}"

    def _base(self) -> str:
        block = self.block
        return block.address(self.offset) if self.offset > block.start or not self.table else block.expression


class Places:
    """The places of all tiles of a plan; a table of offsets is made when it is first asked for, equal ones once."""

    def __init__(self, graph: Graph, plan: Plan) -> None:
        self._graph, self._plan = graph, plan
        self._whole: dict[int, Buffer] = {}
        self._rows: dict[int, dict[int, Buffer]] = {}
        for buffer in plan.buffers:
            if buffer.tile is not None and buffer.row is not None:
                self._rows.setdefault(buffer.tile, {})[buffer.row] = buffer
            elif buffer.tile is not None:
                self._whole[buffer.tile] = buffer
        self._offsets: dict[int, tuple[int, ...]] = {}
        self._tables: dict[tuple[int, ...], RowTable] = {}

    @property
    def tables(self) -> tuple[RowTable, ...]:
        """The tables that were needed, in order of first use."""
        return tuple(self._tables.values())

    def part(self, index: int, rows: Span, columns: Span) -> Rows:
        """These rows and columns, counted as the value counts them, of a tile."""
        tile = self._plan.tiles[index]
        if not (tile.rows[0] <= rows[0] and rows[1] <= tile.rows[1]):
            raise ValueError(f"tile {index} holds rows {tile.rows}, not {rows}")
        if not (tile.columns[0] <= columns[0] and columns[1] <= tile.columns[1]):
            raise ValueError(f"tile {index} holds columns {tile.columns}, not {columns}")
        column_bytes = self._column_bytes(tile)
        first = rows[0] - tile.rows[0]
        shift = (columns[0] - tile.columns[0]) * column_bytes
        count, row_bytes = rows[1] - rows[0], (columns[1] - columns[0]) * column_bytes
        if index not in self._rows:
            pitch = (tile.columns[1] - tile.columns[0]) * column_bytes
            start = self._whole_offset(index, tile)
            block = block_pointer(self._plan, start)
            return Rows(start + first * pitch + shift, pitch, "", count, row_bytes, block)
        offsets = self._row_offsets(index, tile)
        block = block_pointer(self._plan, offsets[0])
        part = offsets[first : first + count]
        pitches = set(np.diff(part).tolist()) or {row_bytes}
        if len(pitches) == 1:
            return Rows(part[0] + shift, pitches.pop(), "", count, row_bytes, block)
        name = self._table(index, tile, tuple(offset - block.start for offset in offsets))
        return Rows(block.start + shift, 0, f"{name} + {first}" if first else name, count, row_bytes, block)

    def _column_bytes(self, tile: Tile) -> int:
        type_ = self._graph.values[tile.value].type
        return type_.row_bytes // max(type_.columns, 1)

    def _whole_offset(self, index: int, tile: Tile) -> int:
        """Where a tile that is stored whole begins; that of a view lies in the buffer of its base."""
        return self._whole[index].offset if index in self._whole else self._plan.value_offset(tile.value)

    def _row_offsets(self, index: int, tile: Tile) -> tuple[int, ...]:
        if index not in self._offsets:
            buffers = self._rows[index]
            self._offsets[index] = tuple(buffers[row].offset for row in range(*tile.rows))
        return self._offsets[index]

    def _table(self, index: int, tile: Tile, offsets: tuple[int, ...]) -> str:
        if any(offset % ROW_UNIT or offset >= ADDRESSABLE_BYTES for offset in offsets):
            raise ValueError(f"the rows of tile {index} lie where no table of offsets can reach")
        if offsets not in self._tables:
            value = self._graph.values[tile.value]
            units = np.array(offsets, np.int64) // ROW_UNIT
            comment = f"{value.type}{_extent(tile, value.type.rows)}: tensor {c_text.comment_text(value.name, 64)}"
            lines = tuple(c_text.array_lines(units))
            self._tables[offsets] = RowTable(f"rows_of_tile_{index}", len(offsets), lines, comment)
        return self._tables[offsets].name


def _extent(tile: Tile, rows: int) -> str:
    """Which part of its value a tile holds, as text for a comment; nothing where it is the whole height."""
    return "" if tile.rows == (0, rows) else f", rows {tile.rows[0]} to {tile.rows[1] - 1}"
