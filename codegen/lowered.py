"""A model as the templates need it: layers, constant arrays, tables of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from thimble.codegen.places import RowTable


@dataclass(frozen=True, slots=True)
class ConstantArray:
    """A constant array in flash: `comment` gives shape and source.

    `reads` is about how many of its bytes an inference reads, `node` the first that reads it, None for a state;
    `fast` tells whether it is copied to RAM before main.
    """

    name: str
    c_type: str
    elements: int
    lines: tuple[str, ...]
    comment: str
    bytes: int
    reads: int = 0
    node: int | None = None
    fast: bool = False


@dataclass(frozen=True, slots=True)
class Local:
    """A local variable that one layer declares: a pointer into the arena, or rows there."""

    declaration: str  # such as "const int8_t *input_0"
    initializer: str  # such as "(const int8_t *)(const void *)(arena + 64)"
    comment: str


@dataclass(frozen=True, slots=True)
class Call:
    """One kernel call: `params_name` is the params variable, empty where the kernel takes none."""

    kernel: str
    params_name: str
    params: tuple[tuple[str, str], ...]
    statement: str


@dataclass(frozen=True, slots=True)
class Layer:
    """A stage that computes as one C function.

    `extent` tells in words which part of the output it makes, empty for all of it. `streamed` tells whether the
    function takes the number of the step, from which `spans` derive rows. `loop` is the head of a loop over rows
    around the calls, in which `row_locals` are declared; empty where there is none.
    """

    stage: int
    node: int
    function: str
    title: str
    extent: str
    source: str
    streamed: bool
    spans: tuple[str, ...]
    locals: tuple[Local, ...]
    loop: str
    row_locals: tuple[Local, ...]
    calls: tuple[Call, ...]
    is_reader: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class Reader:
    """A stage that reads rows of an input through the application's callback, as one C function that returns a status.

    `loop` is empty where one call of the callback reads all rows of a step; `call` is the call of the callback.
    """

    stage: int
    function: str
    comment: str
    streamed: bool
    spans: tuple[str, ...]
    loop: str
    call: str
    is_reader: ClassVar[bool] = True


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive steps of streamed stages: a table of `elements` numbers, which `lines` hold."""

    name: str
    steps: int
    elements: int
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DirectCall:
    """A stage that runs in one step, called by its name."""

    function: str
    is_reader: bool


@dataclass(frozen=True, slots=True)
class GuardedCalls:
    """Stages that run where a condition holds, a C expression; `comment` names who decides it."""

    condition: str
    comment: str
    calls: tuple[DirectCall, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """What the invoke function does, in order.

    `readers` and `layers` are the functions of the streamed stages: in tables of runs, readers have the numbers from 0,
    layers the ones behind. `number_type` holds such a number, `counter_type` the steps that a stage has done.
    """

    items: tuple[Run | DirectCall | GuardedCalls, ...]
    readers: tuple[str, ...]
    layers: tuple[str, ...]
    number_type: str
    counter_type: str

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs alone."""
        return tuple(item for item in self.items if isinstance(item, Run))

    @property
    def guarded(self) -> tuple[GuardedCalls, ...]:
        """What runs by flags, alone."""
        return tuple(item for item in self.items if isinstance(item, GuardedCalls))


@dataclass(frozen=True, slots=True)
class Lowered:
    """The whole graph as C: layers in order, constant arrays in order of first use, kernels by name.

    `plain_kernels` are those of the runtime; `generated` are the files of kernels made for this graph; `sources` are
    the C files that hold the kernels of each node.
    """

    layers: tuple[Layer, ...]
    readers: tuple[Reader, ...]
    constants: tuple[ConstantArray, ...]
    tables: tuple[RowTable, ...]
    schedule: Schedule
    kernels: tuple[str, ...]
    plain_kernels: tuple[str, ...]
    generated: Mapping[str, str]
    sources: Mapping[int, frozenset[str]]

    def kernels_of_nodes(self) -> dict[int, tuple[str, ...]]:
        """The kernels that the stages of each node call, by name; views have none."""
        found: dict[int, set[str]] = {}
        for layer in self.layers:
            found.setdefault(layer.node, set()).update(call.kernel for call in layer.calls)
        return {node: tuple(sorted(kernels)) for node, kernels in found.items()}
