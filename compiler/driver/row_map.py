"""The memory map of a plan that runs layers by rows: thousands of rows, drawn as one shape for each tensor.

Time goes to the right in steps. Layers whose steps alternate make a run; the axis gives each run a share of the width
that grows with its steps, but a least one too, so that a layer that runs whole stays visible beside hundreds of rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from thimble.compiler.driver.memory_map import (
    Label,
    MapBuffer,
    Rect,
    Tick,
    arena_ticks,
    fit_label,
    fit_lines,
    peak_label,
)

COLOURS = 8

_LEFT, _RIGHT, _TOP, _GAP, _STRIP, _RUN_HEIGHT = 62.0, 10.0, 26.0, 12.0, 44.0, 16.0
_PLOT_HEIGHT = 400.0
_LEAST_RUN = 9.0


@dataclass(frozen=True, slots=True)
class TensorRows:
    """A stored tensor, or a part of one, or memory that belongs to none: what shares a colour and a shape.

    `rows` buffers of `row_bytes` bytes, or one buffer where it lies whole; `most_live` of them live at once.
    """

    name: str
    kind: str
    buffers: tuple[MapBuffer, ...]
    most_live: int

    @property
    def by_rows(self) -> bool:
        """Whether the rows have addresses of their own."""
        return len(self.buffers) > 1

    @property
    def bytes(self) -> int:
        """Bytes of all rows, as if all lay in memory at once."""
        return sum(b.bytes for b in self.buffers)

    @property
    def most_live_bytes(self) -> int:
        """Bytes of the most rows that live at once."""
        return self.most_live * max(b.bytes for b in self.buffers)


@dataclass(frozen=True, slots=True)
class Run:
    """Steps [first, end) in which layers alternate, or one layer that runs whole; layers as they begin."""

    first: int
    end: int
    layers: tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor as drawn: rows that touch are one rectangle. `colour` counts from 0."""

    rects: tuple[Rect, ...]
    colour: int
    tooltip: str
    label: Label | None
    by_rows: bool


@dataclass(frozen=True, slots=True)
class DrawnRun:
    """A run's bracket under the map."""

    rect: Rect
    label: Label | None
    tooltip: str


@dataclass(frozen=True, slots=True)
class RowMap:
    """A whole drawing. `live` is the outline of live bytes over time as points; `bound_y` None where it is the top."""

    width: float
    height: float
    plot: Rect
    shapes: tuple[Shape, ...]
    runs: tuple[DrawnRun, ...]
    live: tuple[tuple[float, float], ...]
    live_base: float
    y_ticks: tuple[Tick, ...]
    peak_x: float
    peak_label: Label
    bound_y: float | None


@dataclass(frozen=True, slots=True)
class Schedule:
    """What happens in each step: the layer (None: an input is read) and its rows [first, end), by layers' names."""

    steps: tuple[tuple[int | None, int, int], ...]
    names: tuple[str, ...]

    def name(self, layer: int | None) -> str:
        """A layer as the drawing calls it."""
        if layer is None:
            return "reading the input"
        return self.names[layer] if layer < len(self.names) else str(layer)

    def step_name(self, step: int) -> str:
        """A step in words: its layer and rows."""
        layer, first, end = self.steps[step]
        rows = f"row {first}" if end == first + 1 else f"rows {first} to {end - 1}"
        return f"{step} ({self.name(layer)}, {rows})"


def find_runs(schedule: Schedule) -> tuple[Run, ...]:
    """The runs in order: layers belong to one where one of them has steps between those of another."""
    last = {layer: step for step, (layer, _, _) in enumerate(schedule.steps)}
    runs, first, end = [], 0, 0
    for step, (layer, _, _) in enumerate(schedule.steps):
        end = max(end, last[layer] + 1)
        if end == step + 1:
            layers = dict.fromkeys(schedule.steps[s][0] for s in range(first, end))
            runs.append(Run(first, end, tuple(layers)))
            first = end
    return tuple(runs)


def most_live(buffers: Sequence[MapBuffer]) -> int:
    """How many of some buffers live at one step, at most."""
    changes = sorted(change for b in buffers for change in ((b.first_step, 1, 1), (b.last_step + 1, 0, -1)))
    live = most = 0
    for _, _, change in changes:
        live += change
        most = max(most, live)
    return most


def live_over_time(buffers: Sequence[MapBuffer], steps: int) -> list[int]:
    """Bytes that hold something at each step; those that two buffers share count once."""
    starts: list[list[MapBuffer]] = [[] for _ in range(steps)]
    for b in buffers:
        starts[b.first_step].append(b)
    live: list[MapBuffer] = []
    totals = []
    for step in range(steps):
        live = [b for b in live if b.last_step >= step] + starts[step]
        total = top = 0
        for b in sorted(live, key=lambda b: b.offset):
            total += max(b.end - max(b.offset, top), 0)
            top = max(top, b.end)
        totals.append(total)
    return totals


def draw_row_map(
    tensors: Sequence[TensorRows],
    schedule: Schedule,
    top_bytes: int,
    bound_bytes: int,
    peak_step: int,
    width: float,
) -> RowMap:
    """Lay out the rows of one memory of `top_bytes` bytes over the steps of a schedule, `width` wide."""
    plot = Rect(_LEFT, _TOP, width - _LEFT - _RIGHT, _PLOT_HEIGHT)
    axis = _Axis(find_runs(schedule), plot)
    live = live_over_time([b for tensor in tensors for b in tensor.buffers], len(schedule.steps))
    bracket_y = plot.y + plot.height + 4
    live_base = bracket_y + _RUN_HEIGHT + _GAP + _STRIP
    middle = axis.at(peak_step) + (axis.at(peak_step + 1) - axis.at(peak_step)) / 2
    text = f"peak: step {schedule.step_name(peak_step)}, {live[peak_step]:,} B live"
    short = f"peak: step {peak_step}, {live[peak_step]:,} B"
    return RowMap(
        width=width,
        height=live_base + 8,
        plot=plot,
        shapes=tuple(_shape(tensor, i % COLOURS, axis, plot, top_bytes) for i, tensor in enumerate(tensors)),
        runs=tuple(_bracket(run, schedule, axis, bracket_y) for run in axis.runs),
        live=_outline(live, axis, live_base, top_bytes),
        live_base=live_base,
        y_ticks=arena_ticks(plot, top_bytes),
        peak_x=middle,
        peak_label=peak_label((text, short), middle, plot),
        bound_y=None if bound_bytes >= top_bytes else _y(bound_bytes, plot, top_bytes),
    )


class _Axis:
    """Steps to x: runs side by side, the steps of a run evenly apart."""

    def __init__(self, runs: tuple[Run, ...], plot: Rect) -> None:
        self.runs = runs
        least = min(_LEAST_RUN, plot.width / (2 * len(runs)))
        shared = (plot.width - least * len(runs)) / sum(run.end - run.first for run in runs)
        self._edges = [plot.x]
        for run in runs:
            pitch = (least + shared * (run.end - run.first)) / (run.end - run.first)
            self._edges += [self._edges[-1] + pitch * (i + 1) for i in range(run.end - run.first)]

    def at(self, step: int) -> float:
        """Where a step begins."""
        return self._edges[step]


def _y(offset: float, plot: Rect, top_bytes: int) -> float:
    return plot.y + plot.height * (1 - offset / top_bytes)


def _shape(tensor: TensorRows, colour: int, axis: _Axis, plot: Rect, top_bytes: int) -> Shape:
    rects = []
    for low, high, first, end in merge([(b.offset, b.end, b.first_step, b.last_step + 1) for b in tensor.buffers]):
        x, y = axis.at(first), _y(high, plot, top_bytes)
        rects.append(Rect(x, y, axis.at(end) - x, _y(low, plot, top_bytes) - y))
    largest = max(rects, key=lambda r: (min(r.width, 4 * r.height) * min(r.height, 4 * r.width), -r.x))
    text = f"{tensor.name} ({tensor.kind})\n"
    if tensor.by_rows:
        row_bytes = max(b.bytes for b in tensor.buffers)
        text += f"{len(tensor.buffers)} rows of {row_bytes:,} bytes, at most {tensor.most_live} at once"
    else:
        text += f"{tensor.bytes:,} bytes at {tensor.buffers[0].offset:,}"
    label = fit_label(largest, (tensor.name, tensor.name.partition(" ")[0]), f"{tensor.most_live_bytes:,} B")
    return Shape(tuple(rects), colour, text, label, tensor.by_rows)


def merge(areas: Sequence[tuple[int, int, int, int]]) -> list[tuple[int, int, int, int]]:
    """Rectangles (low, high, first, end) that touch over a whole side made one: along time first, then upwards."""
    along: list[tuple[int, int, int, int]] = []
    for low, high, first, end in sorted(areas):
        if along and along[-1][:2] == (low, high) and first <= along[-1][3]:
            along[-1] = (low, high, along[-1][2], max(end, along[-1][3]))
        else:
            along.append((low, high, first, end))
    upwards: list[tuple[int, int, int, int]] = []
    for low, high, first, end in sorted(along, key=lambda a: (a[2], a[3], a[0])):
        if upwards and upwards[-1][2:] == (first, end) and low == upwards[-1][1]:
            upwards[-1] = (upwards[-1][0], high, first, end)
        else:
            upwards.append((low, high, first, end))
    return upwards


def _bracket(run: Run, schedule: Schedule, axis: _Axis, y: float) -> DrawnRun:
    rect = Rect(axis.at(run.first), y, axis.at(run.end) - axis.at(run.first), _RUN_HEIGHT)
    layers = [layer for layer in run.layers if layer is not None]
    steps = run.end - run.first
    if len(run.layers) == 1 and steps == 1:
        name, text = (str(layers[0]) if layers else "input"), f"{schedule.name(run.layers[0])}\nwhole, in one step"
    else:
        name = f"{min(layers)} to {max(layers)}" if len(layers) > 1 else f"{layers[0] if layers else 'input'}"
        listed = "\n".join(schedule.name(layer) for layer in run.layers)
        text = f"by rows, {steps:,} steps:\n{listed}"
    label = fit_lines(rect, [(f"layers {name}: {steps:,} steps",), (f"{name}: {steps:,} steps",), (name,)])
    return DrawnRun(rect, label, text)


def _outline(live: Sequence[int], axis: _Axis, base: float, top_bytes: int) -> tuple[tuple[float, float], ...]:
    """The corners of the live bytes' staircase, without those between steps of the same bytes."""
    points: list[tuple[float, float]] = []
    for step, total in enumerate(live):
        if step == 0 or total != live[step - 1]:
            points.append((axis.at(step), base - _STRIP * total / top_bytes))
    points.append((axis.at(len(live)), base - _STRIP * live[-1] / top_bytes))
    return tuple(points)
