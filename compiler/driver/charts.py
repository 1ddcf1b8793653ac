"""Stacked bars and strips of the report page: geometry only, in thousandths of the bar's width."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

FULL = 1000.0
"""The width of a whole bar."""


@dataclass(frozen=True, slots=True)
class Part:
    """One amount of a whole: `kind` names its colour."""

    label: str
    amount: int
    kind: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Segment:
    """A part as drawn, from `x` on; `share` is in percent of all parts."""

    part: Part
    x: float
    width: float
    share: float


@dataclass(frozen=True, slots=True)
class CapacityBar:
    """What is used of a memory: `used_width` of the whole memory, above it the segments of what is used, enlarged."""

    title: str
    used: int
    capacity: int
    used_width: float
    segments: tuple[Segment, ...]

    @property
    def percent(self) -> float:
        """Share of the capacity that is used."""
        return percent(self.used, self.capacity)


@dataclass(frozen=True, slots=True)
class RankedBar:
    """One of the largest parts; `width` is in percent of the largest."""

    part: Part
    width: float
    share: float


def percent(amount: float, whole: float) -> float:
    """Share of a whole in percent; 0 of nothing."""
    return 100 * amount / whole if whole else 0.0


def stack(parts: Sequence[Part]) -> tuple[Segment, ...]:
    """Parts side by side, their widths proportional to their amounts; parts of nothing are left out."""
    whole = sum(part.amount for part in parts)
    segments, before = [], 0
    for part in parts:
        if part.amount > 0:
            x, width = FULL * before / whole, FULL * part.amount / whole
            segments.append(Segment(part, x, width, percent(part.amount, whole)))
            before += part.amount
    return tuple(segments)


def capacity_bar(title: str, parts: Sequence[Part], capacity: int) -> CapacityBar:
    """A bar of all parts against `capacity`, in the same unit."""
    used = sum(part.amount for part in parts)
    return CapacityBar(title, used, capacity, min(FULL, FULL * used / capacity), stack(parts))


def rank(parts: Sequence[Part], most: int) -> tuple[tuple[RankedBar, ...], int, int]:
    """The `most` largest parts, largest first and by name where equal; the number and the sum of the rest."""
    ordered = sorted(parts, key=lambda part: (-part.amount, part.label))
    whole = sum(part.amount for part in parts)
    largest = max((part.amount for part in parts), default=0)
    shown, rest = ordered[:most], ordered[most:]
    bars = tuple(RankedBar(p, percent(p.amount, largest), percent(p.amount, whole)) for p in shown)
    return bars, len(rest), sum(part.amount for part in rest)
