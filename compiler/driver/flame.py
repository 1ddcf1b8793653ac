"""Where time goes, as a flame-like drawing: each piece of work within the one that runs it. Geometry only.

Lengths are in SVG user units. Along the drawing runs the work, in proportion to cycles; across it, from the whole to
its smallest parts, the levels. A drawing lies, its work from left to right, or stands, its work downwards, as suits the
page of a phone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thimble.compiler.driver.memory_map import Label, Rect, fit_lines

LEAST_DRAWN = 0.4
"""What is shorter than this along the drawing cannot be seen and is left out."""

_LYING_LEVELS = (24.0, 166.0, 134.0)
_STANDING_LEVELS = (24.0, 170.0, 146.0)
_STANDING_LENGTH = 460.0
_LENGTH_OF_A_CHILD = 16.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A piece of work of `cycles` with the pieces that run within it; `names` to write into it, the fullest first."""

    names: tuple[tuple[str, ...], ...]
    tooltip: str
    colour: str
    cycles: int
    children: tuple[Frame, ...] = ()


@dataclass(frozen=True, slots=True)
class Block:
    """A frame as drawn; level 0 is the whole."""

    frame: Frame
    level: int
    rect: Rect
    label: Label | None


@dataclass(frozen=True, slots=True)
class Flame:
    """A whole drawing, parents before their children."""

    width: float
    height: float
    blocks: tuple[Block, ...]


def draw_flame(root: Frame, width: float, *, standing: bool = False) -> Flame:
    """Lay out a frame and all below it, `width` long where the drawing lies.

    Children lie side by side from their parent's start; what they leave of it is its own work. Raises ValueError
    where children take more than their parent, or where there are more than three levels.
    """
    levels = _STANDING_LEVELS if standing else _LYING_LEVELS
    across = [sum(levels[:level]) for level in range(len(levels) + 1)]
    along = max(_STANDING_LENGTH, _LENGTH_OF_A_CHILD * len(root.children)) if standing else width
    scale = along / root.cycles if root.cycles else 0.0
    blocks = []
    for frame, level, start in _walk(root, 0, 0):
        if level >= len(levels):
            raise ValueError(f"{frame.tooltip} lies deeper than {len(levels)} levels")
        at, length = start * scale, frame.cycles * scale
        if length >= LEAST_DRAWN:
            rect = Rect(at, across[level], length, levels[level])
            rect = Rect(rect.y, rect.x, rect.height, rect.width) if standing else rect
            blocks.append(Block(frame, level, rect, fit_lines(rect, frame.names)))
    across_all = across[-1]
    return Flame(across_all if standing else along, along if standing else across_all, tuple(blocks))


def _walk(frame: Frame, level: int, start: int) -> Iterator[tuple[Frame, int, int]]:
    """Frames with their level and the cycles that lie before them."""
    yield frame, level, start
    if sum(child.cycles for child in frame.children) > frame.cycles:
        raise ValueError(f"the parts of {frame.tooltip} take more cycles than the whole")
    for child in frame.children:
        yield from _walk(child, level + 1, start)
        start += child.cycles
