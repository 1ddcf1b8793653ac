"""The memory map as a drawing: buffers as rectangles over steps and arena offsets. Geometry only; templates paint it.

Lengths are in SVG user units, which the page shows as CSS pixels; x grows with time, y downwards as SVG has it, so the
arena's offset 0 lies at the bottom of the plot.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

CHARACTER_WIDTH = 6.3
"""Mean advance of an 11 px system font, on the safe side."""

HEADING_CHARACTER_WIDTH = 7.6
"""The same of the bold 12 px font in which the peak is named."""

LINE_HEIGHT = 13.0

_LEFT, _RIGHT, _TOP, _GAP, _STRIP, _TICK_LENGTH = 62.0, 10.0, 26.0, 12.0, 44.0, 4.0
_PLOT_HEIGHT = 400.0
_LEAST_COLUMN = 7.0
_LABELLED_COLUMN = 11.0
_MOST_COLUMN = 120.0
_LONGEST_STEP_NAME = 24
_LEAST_TICK_DISTANCE = 15.0
_HATCH_DISTANCE = 8.0


@dataclass(frozen=True, slots=True)
class MapBuffer:
    """Bytes [offset, offset + bytes) of a memory, live from step `first_step` to `last_step`, both included."""

    name: str
    kind: str
    offset: int
    bytes: int
    first_step: int
    last_step: int

    @property
    def end(self) -> int:
        """First offset behind the buffer."""
        return self.offset + self.bytes

    def live_at(self, step: int) -> bool:
        """Whether the buffer holds its contents at a step."""
        return self.first_step <= step <= self.last_step


@dataclass(frozen=True, slots=True)
class Rect:
    """A rectangle by its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Label:
    """Lines of text centred at (x, y), read upwards where `vertical`."""

    lines: tuple[str, ...]
    x: float
    y: float
    vertical: bool = False


@dataclass(frozen=True, slots=True)
class Box:
    """A buffer as drawn: `label` is None where there is no room for one."""

    buffer: MapBuffer
    rect: Rect
    label: Label | None
    tooltip: str
    at_peak: bool


@dataclass(frozen=True, slots=True)
class Shared:
    """Bytes that two buffers share: an output lies over an input that dies. `hatch` holds strokes (x1, y1, x2, y2)."""

    rect: Rect
    hatch: tuple[tuple[float, float, float, float], ...]
    tooltip: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on an axis, at x or y by the axis."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """The live bytes of one step, as a bar of the strip under the map."""

    rect: Rect
    tooltip: str
    at_peak: bool


@dataclass(frozen=True, slots=True)
class MemoryMap:
    """A whole drawing. `peak_band` covers the peak step in map and strip; `bound_y` is None where it is the top."""

    width: float
    height: float
    plot: Rect
    boxes: tuple[Box, ...]
    shared: tuple[Shared, ...]
    strip: tuple[Column, ...]
    strip_top: float
    strip_base: float
    y_ticks: tuple[Tick, ...]
    x_ticks: tuple[Tick, ...]
    x_labels_y: float
    x_labels_vertical: bool
    peak_band: Rect
    peak_label: Label
    top_y: float
    bound_y: float | None


def step_names(names: Sequence[str], ops: Sequence[str]) -> tuple[str, ...]:
    """What the drawing calls the steps: "3 pool" by the layers' names, or by their operators where names are long."""
    shown = names if all(0 < len(name) <= _LONGEST_STEP_NAME for name in names) else ops
    return tuple(f"{index} {name}" for index, name in enumerate(shown))


def live_bytes(buffers: Sequence[MapBuffer], step: int) -> int:
    """Bytes that hold something at a step; those that two buffers share count once."""
    total, top = 0, 0
    for b in sorted(buffers, key=lambda b: b.offset):
        if b.live_at(step):
            total += max(b.end - max(b.offset, top), 0)
            top = max(top, b.end)
    return total


def draw_memory_map(
    buffers: Sequence[MapBuffer],
    steps: Sequence[str],
    top_bytes: int,
    bound_bytes: int,
    peak_step: int,
    width: float,
) -> MemoryMap:
    """Lay out the buffers of one memory of `top_bytes` bytes over `steps`, given by name.

    `bound_bytes` is the most bytes live at one step, reached at `peak_step`. The drawing is `width` wide, or wider
    where steps would become too narrow to tell apart. Raises ValueError where a buffer or the peak lies outside.
    """
    _check(buffers, steps, top_bytes, peak_step)
    column = min(max((width - _LEFT - _RIGHT) / len(steps), _LEAST_COLUMN), _MOST_COLUMN)
    plot = Rect(_LEFT, _TOP, column * len(steps), _PLOT_HEIGHT)
    strip_base = plot.y + plot.height + _GAP + _STRIP
    vertical = max(map(len, steps)) * CHARACTER_WIDTH + 4 > column
    x_labels_y = strip_base + _TICK_LENGTH + 2
    longest = max(len(t.text) for t in _x_ticks(steps, plot, column)) * CHARACTER_WIDTH if vertical else LINE_HEIGHT
    band = Rect(plot.x + peak_step * column, plot.y, column, strip_base - plot.y)
    peak_text = f"peak: step {steps[peak_step]}, {live_bytes(buffers, peak_step):,} B live"
    return MemoryMap(
        width=max(width, plot.x + plot.width + _RIGHT),
        height=x_labels_y + longest + 6,
        plot=plot,
        boxes=tuple(_box(b, buffers, steps, plot, column, top_bytes, peak_step) for b in buffers),
        shared=_shared(buffers, steps, plot, column, top_bytes),
        strip=_strip(buffers, steps, plot, column, strip_base, top_bytes, peak_step),
        strip_top=strip_base - _STRIP,
        strip_base=strip_base,
        y_ticks=arena_ticks(plot, top_bytes),
        x_ticks=_x_ticks(steps, plot, column),
        x_labels_y=x_labels_y,
        x_labels_vertical=vertical,
        peak_band=band,
        peak_label=peak_label((peak_text,), band.x + band.width / 2, plot),
        top_y=plot.y,
        bound_y=None if bound_bytes >= top_bytes else _y(bound_bytes, plot, top_bytes),
    )


def _check(buffers: Sequence[MapBuffer], steps: Sequence[str], top_bytes: int, peak_step: int) -> None:
    if not steps or top_bytes < 1 or not 0 <= peak_step < len(steps):
        raise ValueError(f"no step {peak_step} in a plan of {len(steps)} steps and {top_bytes} bytes")
    for b in buffers:
        if not (
            0 <= b.first_step <= b.last_step < len(steps) and b.offset >= 0 and b.bytes >= 0 and b.end <= top_bytes
        ):
            raise ValueError(f"buffer {b.name} lies outside the plan")


def _y(offset: float, plot: Rect, top_bytes: int) -> float:
    return plot.y + plot.height * (1 - offset / top_bytes)


def _shared(
    buffers: Sequence[MapBuffer], steps: Sequence[str], plot: Rect, column: float, top_bytes: int
) -> tuple[Shared, ...]:
    """The bytes and steps that two buffers have in common, for all pairs that have some."""
    shared = []
    for under, over in combinations(sorted(buffers, key=lambda b: (b.first_step, b.offset)), 2):
        first, last = max(under.first_step, over.first_step), min(under.last_step, over.last_step)
        low, high = max(under.offset, over.offset), min(under.end, over.end)
        if first <= last and low < high:
            both = MapBuffer("", "", low, high - low, first, last)
            text = f"{both.bytes:,} bytes of {under.name}\ntaken over by {over.name}\nin step {steps[last]}"
            rect = _rect(both, plot, column, top_bytes)
            shared.append(Shared(rect, hatch(rect), text))
    return tuple(shared)


def hatch(rect: Rect) -> tuple[tuple[float, float, float, float], ...]:
    """Strokes that rise to the right at 45 degrees, as far as they lie in a rectangle."""
    x, y, width, height = rect.x, rect.y, rect.width, rect.height
    strokes = []
    for number in range(1, int((width + height) / _HATCH_DISTANCE) + 1):
        along = number * _HATCH_DISTANCE  # from the upper left corner, down its side or along its top
        if along < width + height:
            down, right = min(along, height), min(along, width)
            strokes.append((x + along - down, y + down, x + right, y + along - right))
    return tuple(strokes)


def _rect(b: MapBuffer, plot: Rect, column: float, top_bytes: int) -> Rect:
    return Rect(
        plot.x + b.first_step * column,
        _y(b.end, plot, top_bytes),
        (b.last_step - b.first_step + 1) * column,
        plot.height * b.bytes / top_bytes,
    )


def _label_room(b: MapBuffer, buffers: Sequence[MapBuffer], rect: Rect, column: float) -> Rect:
    """Where a buffer's label may stand: columns of its own rather than shared ones, and of those its first."""
    others = [other for other in buffers if max(b.offset, other.offset) < min(b.end, other.end)]
    order, columns = (b.first_step, b.last_step), b.last_step - b.first_step + 1
    last = columns > 1 and any(o.first_step == b.last_step and (o.first_step, o.last_step) > order for o in others)
    first = columns - last > 1 and any(o.last_step == b.first_step for o in others)
    return Rect(rect.x + first * column, rect.y, (columns - first - last) * column, rect.height)


def _box(
    b: MapBuffer,
    buffers: Sequence[MapBuffer],
    steps: Sequence[str],
    plot: Rect,
    column: float,
    top_bytes: int,
    peak_step: int,
) -> Box:
    rect = _rect(b, plot, column, top_bytes)
    span = f"step {steps[b.first_step]}"
    if b.last_step != b.first_step:
        span = f"steps {steps[b.first_step]} to {steps[b.last_step]}"
    tooltip = f"{b.name} ({b.kind})\n{b.bytes:,} bytes at {b.offset:,} to {b.end:,}\n{span}"
    names = _names(b, steps)
    label = fit_label(_label_room(b, buffers, rect, column), names, f"{b.bytes:,} B")
    return Box(b, rect, label, tooltip, b.live_at(peak_step))


def _names(b: MapBuffer, steps: Sequence[str]) -> tuple[str, ...]:
    """What to write into a buffer, the longest first: an activation goes by the layer that makes it."""
    if b.kind == "activation":
        return (steps[b.first_step], str(b.first_step))
    if b.kind == "scratch":
        return (f"scratch of {steps[b.first_step]}", "scratch")
    return (b.name, b.kind) if b.name != b.kind else (b.name,)


def fit_label(rect: Rect, names: Sequence[str], size: str) -> Label | None:
    """The fullest label that fits: a name over its size, both in one line, or upwards; the size alone; or none."""
    options = [option for name in names for option in ((name, size), (f"{name}: {size}",))]
    return fit_lines(rect, [*options, (size,)])


def fit_lines(rect: Rect, options: Sequence[tuple[str, ...]]) -> Label | None:
    """The first of the options, each a few lines of text, that fits; a single line upwards where there is height."""
    x, y = rect.x + rect.width / 2, rect.y + rect.height / 2
    for lines in options:
        long, high = max(map(len, lines)) * CHARACTER_WIDTH + 6, len(lines) * LINE_HEIGHT - 1
        if long <= rect.width and high <= rect.height:
            return Label(lines, x, y)
        if len(lines) == 1 and long <= rect.height and high <= rect.width < rect.height:
            return Label(lines, x, y, vertical=True)
    return None


def _strip(
    buffers: Sequence[MapBuffer],
    steps: Sequence[str],
    plot: Rect,
    column: float,
    base: float,
    top_bytes: int,
    peak_step: int,
) -> tuple[Column, ...]:
    columns = []
    for step, name in enumerate(steps):
        live = live_bytes(buffers, step)
        height = _STRIP * live / top_bytes
        rect = Rect(plot.x + step * column, base - height, column, height)
        columns.append(Column(rect, f"step {name}\n{live:,} bytes live", step == peak_step))
    return tuple(columns)


def peak_label(texts: Sequence[str], middle: float, plot: Rect) -> Label:
    """The peak's name above its place, moved sideways as far as the drawing's edges need: the first text that fits."""
    room = plot.x + plot.width + _RIGHT
    text = next((text for text in texts if len(text) * HEADING_CHARACTER_WIDTH <= room), texts[-1])
    half = len(text) * HEADING_CHARACTER_WIDTH / 2
    return Label((text,), max(min(middle, max(room, 2 * half) - half), half), plot.y - 10)


def _x_ticks(steps: Sequence[str], plot: Rect, column: float) -> tuple[Tick, ...]:
    """The name of every step, or of every second and so on where columns are too narrow for a line of text."""
    stride = 1
    while stride * column < _LABELLED_COLUMN:
        stride += 1
    return tuple(Tick(plot.x + (i + 0.5) * column, steps[i]) for i in range(0, len(steps), stride))


def arena_ticks(plot: Rect, top_bytes: int) -> tuple[Tick, ...]:
    """Round offsets, and the arena's top, which drives out a round one too near to it."""
    unit = round_unit(top_bytes, 6)
    ticks = [Tick(_y(value, plot, top_bytes), f"{value:,}") for value in range(0, top_bytes, unit)]
    kept = [tick for tick in ticks if tick.at - plot.y >= _LEAST_TICK_DISTANCE]
    return (*kept, Tick(plot.y, f"{top_bytes:,}"))


def round_unit(top: int, most: int) -> int:
    """The least of 1, 2, 5, 10, 20, ... that divides `top` into at most `most` parts."""
    unit = 1
    while True:
        for factor in (1, 2, 5):
            if top <= factor * unit * most:
                return factor * unit
        unit *= 10
