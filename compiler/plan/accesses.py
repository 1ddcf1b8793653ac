"""How often a plan reads and writes each tile and each stage's own memory, in about as many bytes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.plan.plan import Buffer, BufferKind, Stage, Step, Tile

SUM_BYTES = 4
"""Of one element of an accumulator, which is read and written for each element of the input."""

Owner = tuple[str, int]
"""A tile, or a stage's memory of one kind, by its number."""


def owner(buffer: Buffer) -> Owner:
    """What a buffer belongs to: its tile, or its stage."""
    if buffer.tile is not None:
        return "tile", buffer.tile
    assert buffer.stage is not None
    return buffer.kind.value, buffer.stage


def part_of(graph: Graph, stage: Stage) -> Site:
    """The node of a stage on the part of the output that the stage makes."""
    assert stage.node is not None
    site = graph.sites[stage.node]
    if not site.outputs:
        return site
    extent = (0, site.output().type.rows), (0, site.output().type.columns)
    return site if (stage.rows, stage.columns) == extent else site.op.restricted(site, stage.rows, stage.columns)


def count_accesses(
    graph: Graph,
    stages: Sequence[Stage],
    tiles: Sequence[Tile],
    steps: Iterable[Step],
    views: Mapping[int, int],
    buffers: Iterable[Buffer],
) -> dict[Owner, int]:
    """Accesses of all owners of buffers.

    An operand is read once for each multiply-accumulate, or once where there are fewer; an output is written once.
    """
    made = list(buffers)
    homes = {tiles[b.tile].value: b.tile for b in made if b.tile is not None}
    stored = {b.tile for b in made}
    memories = {(b.stage, b.kind): b.bytes for b in made if b.tile is None}
    calls = Counter(step.stage for step in steps)
    counts: Counter[Owner] = Counter()
    for index, stage in enumerate(stages):
        for tile in stage.outputs:
            if tiles[tile].value not in views:
                height, width = stage.rows[1] - stage.rows[0], stage.columns[1] - stage.columns[0]
                type_ = graph.values[tiles[tile].value].type
                counts["tile", tile] += height * width * (type_.row_bytes // max(type_.columns, 1))
        if stage.node is None or any(value in views for value in graph.nodes[stage.node].outputs):
            continue
        part = part_of(graph, stage)
        macs = part.op.macs(part)
        for position, operand in enumerate(stage.inputs):
            if operand is not None:
                value = tiles[operand].value
                home = operand if operand in stored else homes[views.get(value, value)]
                counts["tile", home] += max(macs, part.input(position).type.bytes)
        scratch = memories.get((index, BufferKind.SCRATCH), 0)
        counts[BufferKind.SCRATCH.value, index] += 2 * scratch * calls[index]
        if (index, BufferKind.ACCUMULATOR) in memories:
            counts[BufferKind.ACCUMULATOR.value, index] += 2 * SUM_BYTES * part.input(0).type.elements
    return dict(counts)
