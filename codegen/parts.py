"""What a stage of a plan computes: a node over a part of its output, and where its operands and results lie."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.places import Places, Rows
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import RowForm, Span
from thimble.compiler.ir.types import TensorType
from thimble.compiler.plan.plan import Plan, Stage


@dataclass(frozen=True, slots=True)
class Part:
    """The site that a stage computes and the rows of its operands (None for constants) and results.

    `restricted` tells whether it is less than the whole node.
    """

    site: Site
    inputs: tuple[Rows | None, ...]
    outputs: tuple[Rows, ...]
    restricted: bool

    @property
    def packed(self) -> bool:
        """Whether all operands and results lie whole and one row behind the other, as kernels for whole tensors ask."""
        values = (*zip(self.site.inputs, self.inputs, strict=True), *zip(self.site.outputs, self.outputs, strict=True))
        return all(
            rows is None or (value is not None and rows.packed and rows.bytes == value.type.bytes)
            for value, rows in values
        )


def _is_whole(graph: Graph, plan: Plan, site: Site, stage: Stage) -> bool:
    """Whether a stage makes the whole output of its node, from operands that are stored from their first pixel on.

    Rows at the end of an operand may be missing: those that nobody reads.
    """
    if site.outputs and (stage.rows, stage.columns) != ((0, site.output().type.rows), (0, site.output().type.columns)):
        return False
    tiles = [plan.tiles[tile] for tile in stage.inputs if tile is not None]
    return all(t.rows[0] == 0 and t.columns == (0, graph.values[t.value].type.columns) for t in tiles)


def part_of_stage(graph: Graph, plan: Plan, places: Places, stage: Stage) -> Part:
    """The part of its node that a stage computes."""
    assert stage.node is not None
    site = graph.sites[stage.node]
    whole = _is_whole(graph, plan, site, stage)
    spans = _whole_operands(site, stage) if whole else _needed_operands(site, stage)
    inputs = tuple(
        None
        if value is None or tile is None or span is None
        else _operand(graph, plan, places, value.type, tile, *span)
        for value, tile, span in zip(site.inputs, stage.inputs, spans, strict=True)
    )
    made = [((0, v.type.rows), (0, v.type.columns)) if whole else (stage.rows, stage.columns) for v in site.outputs]
    outputs = tuple(places.part(tile, *span) for tile, span in zip(stage.outputs, made, strict=True))
    return Part(
        site if whole else site.op.restricted(site, stage.rows, stage.columns), inputs, outputs, restricted=not whole
    )


def _operand(graph: Graph, plan: Plan, places: Places, type_: TensorType, tile: int, rows: Span, columns: Span) -> Rows:
    """Rows and columns of an operand of this type in a tile, which may be one of a value that the operand is a view of.

    The rows of a view are those of the tile's value, or the tile lies whole, one row behind the other.
    """
    stored, held = graph.values[plan.tiles[tile].value].type, plan.tiles[tile].rows
    if (stored.rows, stored.row_bytes) == (type_.rows, type_.row_bytes):
        if stored.columns != type_.columns and columns == (0, type_.columns):
            columns = (0, stored.columns)
        return places.part(tile, (rows[0], min(rows[1], held[1])), columns)
    whole = places.part(tile, (0, stored.rows), (0, stored.columns))
    if not whole.packed or (rows, columns) != ((0, type_.rows), (0, type_.columns)):
        raise ValueError(f"a view of tile {tile} needs its rows one behind the other")
    return Rows(whole.offset, type_.row_bytes, "", type_.rows, type_.row_bytes, whole.block)


def _whole_operands(site: Site, stage: Stage) -> list[tuple[Span, Span] | None]:
    """Rows and columns of each operand of a whole node: all of them."""
    return [
        None if value is None or tile is None else ((0, value.type.rows), (0, value.type.columns))
        for value, tile in zip(site.inputs, stage.inputs, strict=True)
    ]


def _needed_operands(site: Site, stage: Stage) -> list[tuple[Span, Span] | None]:
    """Rows and columns of each operand that a part of a node needs."""
    form, columns = site.op.rows(site), site.op.needed_columns(site, stage.columns)
    if form is None or columns is None:
        raise ValueError(f"{site.source} cannot be computed in parts")
    return [
        None if needs is None or span is None else (_hull(needs[slice(*stage.rows)]), span)
        for needs, span in zip(form.needs, columns, strict=True)
    ]


def _hull(spans: tuple[Span, ...]) -> Span:
    """The range of all rows that any of the spans holds."""
    held = [span for span in spans if span[0] < span[1]] or [spans[0]]
    return min(first for first, _ in held), max(end for _, end in held)


def row_form(site: Site) -> RowForm:
    """The row form of a site that a plan runs by rows, which must be there."""
    form = site.op.rows(site)
    if form is None:
        raise ValueError(f"{site.source} has no row form")
    return form
