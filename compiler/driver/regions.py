"""The memory maps of report.html: each memory's buffers, drawn by layers or, where layers run by rows, by tensors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from thimble.compiler.driver.memory_map import MapBuffer, MemoryMap, draw_memory_map, step_names
from thimble.compiler.driver.row_map import (
    RowMap,
    Run,
    Schedule,
    TensorRows,
    draw_row_map,
    find_runs,
    live_over_time,
    most_live,
)

Report = Mapping[str, Any]

MAP_WIDTHS = {"wide": 1040.0, "narrow": 340.0}
"""A picture is drawn twice, for a desktop's page and for a phone's; the page's style shows one of them."""


@dataclass(frozen=True, slots=True)
class Region:
    """The map of one memory, by the page widths that it is drawn for; `equal_steps` reach the peak too.

    A plan by rows has `tensors` and `runs` in place of `buffers`.
    """

    name: str
    buffers: tuple[MapBuffer, ...]
    tensors: tuple[TensorRows, ...]
    runs: tuple[Run, ...]
    maps: Mapping[str, MemoryMap | RowMap]
    kinds: tuple[str, ...]
    top_bytes: int
    bound_bytes: int
    peak_step: str
    peak_bytes: int
    equal_steps: tuple[str, ...]


def build_regions(report: Report) -> tuple[Region, ...]:
    """A map for each memory that holds buffers, in the order of the report, the arena first."""
    memory = report["memory"]
    if not memory["steps"]:
        return ()
    names = sorted({b["region"] for b in memory["buffers"]} or {"arena"}, key=lambda name: (name != "arena", name))
    schedule = _schedule(report)
    by_rows = len(schedule.steps) != len(schedule.names) or any(b["row"] is not None for b in memory["buffers"])
    return tuple(_region(name, report, schedule, by_rows) for name in names)


def _schedule(report: Report) -> Schedule:
    layers = report["layers"]
    names = step_names([la["name"] for la in layers], [la["op"] for la in layers])
    return Schedule(tuple((layer, first, end) for layer, first, end in report["memory"]["schedule"]), names)


def _region(name: str, report: Report, schedule: Schedule, by_rows: bool) -> Region:
    memory, steps = report["memory"], schedule.names
    rows = [b for b in memory["buffers"] if b["region"] == name]
    buffers = tuple(map(_map_buffer, rows))
    live = live_over_time(buffers, len(schedule.steps))
    peak = memory["peak_step"] if name == "arena" else max(range(len(live)), key=live.__getitem__)
    top = memory["arena_bytes"] if name == "arena" else max(1, *(b.end for b in buffers))
    bound = memory["arena_bound_bytes"] if name == "arena" else live[peak]
    tensors = _tensors(rows, memory["tiles"], schedule) if by_rows else ()
    equal = () if by_rows else (steps[s] for s, total in enumerate(live) if s != peak and total == live[peak])
    draw = partial(draw_row_map, tensors, schedule) if by_rows else partial(draw_memory_map, buffers, steps)
    return Region(
        name=name,
        buffers=() if by_rows else buffers,
        tensors=tensors,
        runs=find_runs(schedule) if by_rows else (),
        maps={key: draw(top, bound, peak, width) for key, width in MAP_WIDTHS.items()},
        kinds=tuple(sorted({b.kind for b in buffers})),
        top_bytes=top,
        bound_bytes=bound,
        peak_step=schedule.step_name(peak) if by_rows else steps[peak],
        peak_bytes=live[peak],
        equal_steps=tuple(equal),
    )


def _map_buffer(row: Report) -> MapBuffer:
    return MapBuffer(*(row[f] for f in ("name", "kind", "offset", "bytes", "first_step", "last_step")))


def _tensors(rows: Sequence[Report], tiles: Sequence[Report], schedule: Schedule) -> tuple[TensorRows, ...]:
    """The buffers by what they hold, in the order in which it comes into being."""
    groups: dict[object, list[MapBuffer]] = {}
    for row in rows:
        groups.setdefault((row["kind"], row["name"]) if row["tile"] is None else row["tile"], []).append(
            _map_buffer(row)
        )
    tensors = []
    for key, buffers in groups.items():
        name = _tile_name(tiles[key], schedule) if isinstance(key, int) else buffers[0].name
        name = name or buffers[0].name.partition("_row_")[0]
        tensors.append(TensorRows(name, buffers[0].kind, tuple(buffers), most_live(buffers)))
    return tuple(sorted(tensors, key=lambda t: min(b.first_step for b in t.buffers)))


def _tile_name(tile: Report, schedule: Schedule) -> str:
    """A tensor goes by the layer that makes it; inputs and states have none."""
    return "" if tile["layer"] is None else schedule.name(tile["layer"])
