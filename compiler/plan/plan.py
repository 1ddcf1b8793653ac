"""The plan: each buffer's place in the arena and the steps during which it is live."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class BufferKind(Enum):
    """What a buffer is for."""

    INPUT = "input"
    OUTPUT = "output"
    STATE = "state"
    ACTIVATION = "activation"
    SCRATCH = "scratch"


@dataclass(frozen=True, slots=True)
class Buffer:
    """Bytes [offset, offset + bytes) of the arena, live from step `first_step` to step `last_step`, both included.

    `value` is the graph value that it holds; scratch memory has none. `step` is the node that scratch belongs to.
    """

    name: str
    kind: BufferKind
    offset: int
    bytes: int
    first_step: int
    last_step: int
    value: int | None = None
    step: int | None = None

    @property
    def end(self) -> int:
        """First offset behind the buffer."""
        return self.offset + self.bytes


@dataclass(frozen=True, slots=True)
class View:
    """A graph value that needs no buffer: it is the contents of the buffer of another, `base`, as they are."""

    value: int
    base: int


@dataclass(frozen=True, slots=True)
class Plan:
    """A complete arena. `bound_bytes` is a proved size that no layout of these buffers can be below.

    The nodes that make `views` do nothing at their step; the buffer of a view's base lives as long as its views.
    """

    buffers: tuple[Buffer, ...]
    steps: int
    arena_bytes: int
    bound_bytes: int
    views: tuple[View, ...] = ()

    def value_offset(self, value: int) -> int:
        """Arena offset of a graph value."""
        home = next((view.base for view in self.views if view.value == value), value)
        return next(b.offset for b in self.buffers if b.value == home)

    def is_view(self, value: int) -> bool:
        """Whether a graph value is nothing but the contents of another one's buffer."""
        return any(view.value == value for view in self.views)

    def scratch_offset(self, step: int) -> int:
        """Arena offset of the scratch memory of a step."""
        return next(b.offset for b in self.buffers if b.step == step)

    def bytes_of(self, *kinds: BufferKind) -> int:
        """Sum of the sizes of all buffers of these kinds."""
        return sum(b.bytes for b in self.buffers if b.kind in kinds)

    @property
    def scratch_bytes(self) -> int:
        """The largest scratch memory of any step."""
        return max((b.bytes for b in self.buffers if b.kind is BufferKind.SCRATCH), default=0)

    def live_bytes(self, step: int) -> int:
        """Bytes of the arena that hold something at a step: an output that lies over an operand shares its bytes."""
        total, top = 0, 0
        for b in sorted(self.buffers, key=lambda b: b.offset):
            if b.first_step <= step <= b.last_step:
                total += max(b.end - max(b.offset, top), 0)
                top = max(top, b.end)
        return total

    @property
    def peak_step(self) -> int:
        """The first step at which the most bytes are live."""
        return max(range(self.steps), key=self.live_bytes, default=0)
