"""The memory section of report.json: bytes by kind, the buffers, the schedule that they follow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from thimble.codegen.project import Project
from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.accesses import part_of
from thimble.compiler.plan.guards import at_worst
from thimble.compiler.plan.plan import Block, Buffer, BufferKind, Plan, Tile
from thimble.targets.elf import ElfSizes
from thimble.targets.model import Target


def memory_report(graph: Graph, plan: Plan, target: Target, project: Project, sizes: ElfSizes) -> dict[str, Any]:
    """Bytes by kind. Blocks of the arena are static arrays of main.c, and so a part of the ELF's static RAM."""
    return {
        "arena_bytes": plan.arena_bytes,
        "arena_bound_bytes": plan.bound_bytes,
        "scratch_bytes": most_live_bytes(plan, BufferKind.SCRATCH, BufferKind.ACCUMULATOR),
        "state_bytes": plan.bytes_of(BufferKind.STATE),
        "stack_bytes": None,
        "static_ram_bytes": sizes.ram_static_bytes - plan.arena_bytes,
        "fast_weights_bytes": sizes.fast_weights_bytes,
        "fast_code_bytes": sizes.fast_code_bytes,
        "io_bytes": io_bytes(plan),
        "sram_total_bytes": sizes.ram_static_bytes,
        "weights_bytes": project.weights_bytes,
        "code_bytes": sizes.flash_total_bytes - project.weights_bytes,
        "flash_total_bytes": sizes.flash_total_bytes,
        "steps": len(plan.steps),
        "peak_step": plan.peak_step,
        "peak_layer": peak_layer(plan),
        "schedule": [[plan.stages[step.stage].node, step.first, step.end] for step in plan.steps],
        "tiles": [_tile(graph, plan, tile) for tile in plan.tiles],
        "regions": [_region(plan, target, block) for block in plan.blocks or (plan.block_at(0),)],
        "buffers": [_buffer(plan, buffer) for buffer in plan.buffers],
    }


def most_live_bytes(plan: Plan, *kinds: BufferKind) -> int:
    """The most bytes that buffers of these kinds take at one step."""
    return _most_live(b for b in plan.buffers if b.kind in kinds)


def io_bytes(plan: Plan) -> int:
    """Bytes that inputs and outputs take: each whole, or of those that come by rows the most rows that live at once."""
    buffers = [b for b in plan.buffers if b.kind in (BufferKind.INPUT, BufferKind.OUTPUT)]
    return sum(_most_live(b for b in buffers if b.value == value) for value in {b.value for b in buffers})


def peak_layer(plan: Plan) -> int | None:
    """The layer that runs at the peak; None where that is the input being read, or there is no layer."""
    return plan.stages[plan.steps[plan.peak_step].stage].node if plan.steps else None


def macs_by_layer(graph: Graph, plan: Plan) -> list[int]:
    """Multiply-accumulates that the plan executes for each node; what is computed twice counts twice."""
    macs = [0] * len(graph.nodes)
    for stage, count in zip(plan.stages, _macs_of_stages(graph, plan), strict=True):
        if stage.node is not None:
            macs[stage.node] += count
    return macs


def macs_executed(graph: Graph, plan: Plan) -> int:
    """Multiply-accumulates of an inference; where flags decide what runs, those of the dearer branches."""
    return round(at_worst(plan.guards, enumerate(_macs_of_stages(graph, plan))))


def _macs_of_stages(graph: Graph, plan: Plan) -> list[int]:
    parts = (None if stage.node is None else part_of(graph, stage) for stage in plan.stages)
    return [0 if part is None else part.op.macs(part) for part in parts]


def _most_live(buffers: Iterable[Buffer]) -> int:
    changes: dict[int, int] = {}
    for buffer in buffers:
        changes[buffer.first_step] = changes.get(buffer.first_step, 0) + buffer.bytes
        changes[buffer.last_step + 1] = changes.get(buffer.last_step + 1, 0) - buffer.bytes
    live = most = 0
    for step in sorted(changes):
        live += changes[step]
        most = max(most, live)
    return most


def _tile(graph: Graph, plan: Plan, tile: Tile) -> dict[str, Any]:
    """A stored part of a tensor; `layer` is the one that makes it, None for inputs and states."""
    type_ = graph.values[tile.value].type
    maker = next((i for i, node in enumerate(graph.nodes) if tile.value in node.outputs), None)
    columns = tile.columns[1] - tile.columns[0]
    return {
        "layer": maker,
        "rows": list(tile.rows),
        "columns": list(tile.columns),
        "row_bytes": type_.row_bytes // max(type_.columns, 1) * columns,
    }


def _region_name(plan: Plan, block: Block) -> str:
    """A block goes by its memory where there are several, else it is the arena."""
    return block.memory if len(plan.blocks) > 1 else "arena"


def _region(plan: Plan, target: Target, block: Block) -> dict[str, Any]:
    memory = next((m for m in target.arena_memories if m.name == block.memory), target.ram)
    return {
        "name": _region_name(plan, block),
        "bytes": block.bytes,
        "memory": memory.name,
        "memory_bytes": memory.bytes,
        "wait_states": memory.load_wait_states,
    }


def _buffer(plan: Plan, buffer: Buffer) -> dict[str, Any]:
    """A buffer; its offset counts from the start of its region."""
    block = plan.block_at(buffer.offset)
    return {
        "name": buffer.name,
        "kind": buffer.kind.value,
        "region": _region_name(plan, block),
        "offset": buffer.offset - block.start,
        "bytes": buffer.bytes,
        "first_step": buffer.first_step,
        "last_step": buffer.last_step,
        "tile": buffer.tile,
        "row": buffer.row,
    }
