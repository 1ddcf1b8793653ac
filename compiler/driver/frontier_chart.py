"""The frontier of bytes against cycles as a drawing. Geometry only; the template paints it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from thimble.compiler.driver.memory_map import CHARACTER_WIDTH, Rect, Tick, round_unit

WIDTH, HEIGHT = 760.0, 420.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 78.0, 30.0, 44.0, 52.0
_LABEL_HEIGHT = 14.0


@dataclass(frozen=True, slots=True)
class Dot:
    """A point of the frontier; `label` is where its text stands, None where there is no room."""

    x: float
    y: float
    fits: bool
    text: str
    label: Rect | None


@dataclass(frozen=True, slots=True)
class FrontierChart:
    """The whole drawing; `limit_x` is None where the limit lies beyond the right edge."""

    width: float
    height: float
    title: str
    left: float
    right: float
    top: float
    bottom: float
    dots: tuple[Dot, ...]
    steps: tuple[tuple[float, float], ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    limit_x: float | None
    limit_text: str


def draw_frontier(result: Mapping[str, Any]) -> FrontierChart:
    """Lay out the points of `measure_frontier`: bytes to the right, cycles upwards from the fewest."""
    points = result["points"]
    most_bytes = max(int(p["arena_bytes"]) for p in points)
    low, high = min(int(p["cycles"]) for p in points), max(int(p["cycles"]) for p in points)
    span = max(high - low, 1)
    right, bottom = WIDTH - _RIGHT, HEIGHT - _BOTTOM

    def x(count: float) -> float:
        return _LEFT + (right - _LEFT) * count / (most_bytes * 1.04)

    def y(cycles: float) -> float:
        return bottom - 12 - (bottom - _TOP - 24) * (cycles - low) / span

    places = [(x(p["arena_bytes"]), y(p["cycles"])) for p in points]
    unit, cycle_unit = round_unit(most_bytes, 7), round_unit(span, 5)
    first = -(-low // cycle_unit) * cycle_unit
    limit = result["limit_bytes"]
    pulled = ", input by rows" if result["input"] == "rows" else ""
    return FrontierChart(
        width=WIDTH,
        height=HEIGHT,
        title=f"{result['model']} on {result['target']}{pulled}: arena bytes against cycles of one inference",
        left=_LEFT,
        right=right,
        top=_TOP,
        bottom=bottom,
        dots=_dots(points, places, low),
        steps=_staircase(places),
        x_ticks=tuple(Tick(x(v), f"{v:,}") for v in range(0, int(most_bytes * 1.04) + 1, unit)),
        y_ticks=tuple(Tick(y(v), f"{v / 1e6:,.6g}") for v in range(first, high + 1, cycle_unit)),
        limit_x=x(limit) if limit <= most_bytes * 1.04 else None,
        limit_text=f"limit {limit:,}",
    )


def _dots(points: Sequence[Mapping[str, Any]], places: Sequence[tuple[float, float]], low: int) -> tuple[Dot, ...]:
    """Labels stand above or below their points, to the right or left; where all of that is taken, there is none."""
    dots: list[Dot] = []
    taken = [Rect(x - 4, y - 4, 8, 8) for x, y in places]
    for point, (x, y) in zip(points, places, strict=True):
        text = f"{point['arena_bytes']:,} B, +{100 * (point['cycles'] / low - 1):.1f}%"
        if point["mac_factor"] > 1:
            text += f", {point['mac_factor']:.2f}x MACs"
        width = len(text) * CHARACTER_WIDTH
        boxes = [
            Rect(x + side if side > 0 else x + side - width, y + down, width, _LABEL_HEIGHT)
            for down in (-18.0, 5.0)
            for side in (6.0, -6.0)
        ]
        box = next((b for b in boxes if _LEFT < b.x < WIDTH - width and not any(_meet(b, t) for t in taken)), None)
        if box is not None:
            taken.append(box)
        dots.append(Dot(x, y, bool(point["fits"]), text, box))
    return tuple(dots)


def _meet(a: Rect, b: Rect) -> bool:
    return abs(2 * (a.x - b.x) + a.width - b.width) < a.width + b.width and (
        abs(2 * (a.y - b.y) + a.height - b.height) < a.height + b.height
    )


def _staircase(places: Sequence[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    """The border of what can be had: from each point, fewer bytes only at the next one's cycles."""
    corners = [places[0]]
    for (x0, _), (x1, y1) in pairwise(places):
        corners += [(x0, y1), (x1, y1)]
    return tuple(corners)
