"""What is to be placed in an arena: buffers as rigid bodies, and which of them may lie over which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Bytes [offset, offset + bytes) of a body, live in steps [first, last], both included."""

    first: int
    last: int
    bytes: int
    offset: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A rigid body to place at a multiple of `alignment`: parts that live each in their own time.

    A tensor whose rows lie one behind the other but are born or die one by one has a part for each row; scratch that
    is needed at several steps has a part for each of them. Parts that live at the same time must not overlap.
    """

    parts: tuple[Part, ...]
    alignment: int = 4

    @classmethod
    def block(cls, first: int, last: int, bytes: int, alignment: int = 4) -> Request:
        """A body of one part: `bytes` that are live in steps [first, last], both included."""
        return cls((Part(first, last, bytes),), alignment)

    @property
    def first(self) -> int:
        """The first step at which a part is live."""
        return min(p.first for p in self.parts)

    @property
    def last(self) -> int:
        """The last step at which a part is live."""
        return max(p.last for p in self.parts)

    @property
    def bytes(self) -> int:
        """Where the highest part ends."""
        return max(p.offset + p.bytes for p in self.parts)


@dataclass(frozen=True, slots=True)
class Slide:
    """Body `over` may lie over body `under`, if it begins at least `distance` bytes before it.

    Both are indices of requests. It holds for parts of `over` that begin at the step that is the last one of parts of
    `under`. A negative distance lets `over` begin behind the start of `under`.
    """

    over: int
    under: int
    distance: int


def arena_bytes(requests: Sequence[Request], offsets: Sequence[int]) -> int:
    """Bytes that a placement takes."""
    return max((offset + r.bytes for r, offset in zip(requests, offsets, strict=True)), default=0)
