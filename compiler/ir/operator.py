"""The interface of an operator: what the planner, the executor and the code generator ask of it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from thimble.compiler.ir.errors import UnsupportedOp

if TYPE_CHECKING:
    from thimble.compiler.ir.graph import Site

Array = np.ndarray[Any, Any]
Shape = tuple[int, ...]


class Rounding(Enum):
    """Whose integer arithmetic to follow; they differ where LiteRT's fully-connected rounds once, not twice."""

    TFLM = "tflm"
    LITERT = "litert"


@dataclass(frozen=True, slots=True)
class Input:
    """A kernel argument: pointer to input `index` of the operator, whether it lies in the arena or in flash."""

    index: int


@dataclass(frozen=True, slots=True)
class Output:
    """A kernel argument: pointer to output `index` of the operator."""

    index: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """A kernel argument: pointer to a constant array made at compile time, such as requantization multipliers."""

    name: str
    data: Array


@dataclass(frozen=True, slots=True)
class Scratch:
    """A kernel argument: pointer to working memory that is live only during this call."""

    bytes: int
    dtype: str = "int32_t"


@dataclass(frozen=True, slots=True)
class InputRows:
    """A kernel argument: input `index` as rows that may lie apart, `const thimble_rows *` (runtime_c/kernels)."""

    index: int


@dataclass(frozen=True, slots=True)
class OutputRows:
    """A kernel argument: output `index` as rows that may lie apart, `const thimble_rows *`."""

    index: int = 0


@dataclass(frozen=True, slots=True)
class FirstRow:
    """A kernel argument: the first row that the call works on, `int32_t`."""


@dataclass(frozen=True, slots=True)
class EndRow:
    """A kernel argument: the row behind the last one that the call works on, `int32_t`."""


@dataclass(frozen=True, slots=True)
class Accumulator:
    """A kernel argument: pointer to memory that lasts from a node's first step to its last (RowForm)."""

    bytes: int
    dtype: str = "int32_t"


Argument = Input | Output | Table | Scratch | InputRows | OutputRows | FirstRow | EndRow | Accumulator
ParamValue = int | float | tuple[int, ...]


@dataclass(frozen=True, slots=True)
class GeneratedKernel:
    """The text of a kernel that is generated for a layer: its C files, and the runtime's .c files that they call.

    `files` are pairs of name and text, among them thimble_<kernel>.h; `needs` are kernel names as in KernelCall. A
    kernel of a target's family that needs nothing generated has no files, and needs itself.
    """

    files: tuple[tuple[str, str], ...]
    needs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class KernelCall:
    """One call of a C kernel: `thimble_<kernel>(&params, arguments...)`.

    `kernel` names the runtime's thimble_<kernel>.c and .h, or those of `source`; `params` are the fields of its
    `thimble_<kernel>_params` struct by name: int, float (emitted as float) or a tuple (an array field). A field of a
    member that is a struct is named "member.field".
    Where not `overlaps`, the call writes before it has read all of its input, in an order of its own: what one call
    writes must then not lie over anything that it reads, whatever the operator's overlaps say.
    A call for a node whole may write `ahead_bytes` of its output sooner than the operator's overlaps suppose.
    """

    kernel: str
    params: tuple[tuple[str, ParamValue], ...]
    arguments: tuple[Argument, ...]
    source: GeneratedKernel | None = None
    overlaps: bool = True
    ahead_bytes: int = 0

    @property
    def scratch_bytes(self) -> int:
        """Working memory that the call needs in the arena."""
        return sum(a.bytes for a in self.arguments if isinstance(a, Scratch))

    @property
    def is_in_place(self) -> bool:
        """Whether the operator's overlaps stay as they are."""
        return self.overlaps and not self.ahead_bytes


Specialise = Callable[["Site", KernelCall, bool], KernelCall | None]
"""A kernel call with the same bytes that suits the target better; None where there is none.

The flag says that the call is for whole tensors, whose rows lie one behind the other.
It reads and writes in an order under which the operator's overlaps (Operator.overlaps, RowForm.overlaps) stay true,
or says with KernelCall.overlaps that it does not, or with KernelCall.ahead_bytes by how much the output must begin
earlier.
"""


@dataclass(frozen=True, slots=True)
class Overlap:
    """The only output may lie over input `input` that nothing needs afterwards, if it begins early enough.

    It must begin at least `distance` bytes before that input; where `distance` is negative, it may begin behind the
    input's start. All reads of a byte then come before the write to it.
    """

    input: int
    distance: int


Span = tuple[int, int]
"""A range [first, end) of rows or columns."""


@dataclass(frozen=True, slots=True)
class RowForm:
    """How a node runs some rows at a time, always in order; rows are those of TensorType.rows.

    `needs[i][s]` is the span of rows of input i that step s reads, clipped to the input; None in place of the tuple
    for an input that is constant or absent. Without accumulator, step s makes row s of every output. With one, the
    node keeps `accumulator_bytes` from its first step to its last, in which it writes its whole output.
    `overlaps` say over which operand rows an output row may lie that no later step reads, row for row.
    """

    steps: int
    needs: tuple[tuple[Span, ...] | None, ...]
    accumulator_bytes: int = 0
    overlaps: tuple[Overlap, ...] = ()


Constraint = Callable[["Site"], bool]
"""A predicate that must hold for a node to be supported; its docstring is the reason that the user reads."""


@dataclass(frozen=True, slots=True)
class Operator(ABC):
    """An operator with its typed attributes; a subclass is a frozen dataclass in compiler/ops.

    `name` is the TFLite operator name in lower case. `constraints` are checked in order after `shapes`
    passed. `state_inputs` are the input positions that hold state which the operator updates. `copied_input` is the
    input whose very bytes are the only output, so that both can share memory; None for operators that compute.
    `moves_values` says that `reference` is right for every element type, quantized or not.
    `takes_packed` says that `constraints` tell which int4 and int2 operands are taken; other operators take none.
    `alternatives` are two inputs of which the kernel reads only one: the first where input 0, a single bool, is true.
    """

    name: ClassVar[str]
    constraints: ClassVar[tuple[Constraint, ...]] = ()
    state_inputs: ClassVar[tuple[int, ...]] = ()
    copied_input: ClassVar[int | None] = None
    moves_values: ClassVar[bool] = False
    takes_packed: ClassVar[bool] = False
    alternatives: ClassVar[tuple[int, int] | None] = None

    @abstractmethod
    def shapes(self, site: Site) -> tuple[Shape, ...]:
        """The shape of each output; raises MalformedModel where the inputs make no sense together."""

    @abstractmethod
    def reference(self, site: Site, inputs: Sequence[Array], rounding: Rounding) -> tuple[Array, ...]:
        """The outputs, exactly as the firmware computes them.

        `inputs` holds one array for each input (an empty array where an optional input is absent), with
        the shape and dtype of its tensor type. State inputs are updated in place, no other input is.
        """

    def float_reference(self, site: Site, inputs: Sequence[Array]) -> tuple[Array, ...]:
        """The outputs on plain numbers: float32, or integers and booleans that carry no quantization.

        `inputs` as for `reference`. Raises UnsupportedOp where the operator has no such form.
        """
        if self.moves_values:
            return self.reference(site, inputs, Rounding.TFLM)
        raise UnsupportedOp(f"{site.source}: {self.name} has no float form in Thimble.")

    @abstractmethod
    def lower(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        """The C kernel calls, in order, that together compute the same bytes as `reference`."""

    def overlaps(self, site: Site) -> tuple[Overlap, ...]:
        """The inputs over which the output may lie, from the order in which the plain C kernel reads and writes.

        None for kernels that nobody looked at. Kernels in another order of loops must state their own distances, and
        plan/access.py must know their order too.
        """
        return ()

    def rows(self, site: Site) -> RowForm | None:
        """How the node runs some rows at a time; None where it needs its operands whole."""
        return None

    def lower_rows(self, site: Site, rounding: Rounding) -> tuple[KernelCall, ...]:
        """The kernel calls of one step of the row form, on the rows [FirstRow, EndRow).

        A call with Input and Output arguments in place of InputRows and OutputRows is made once for each row, on
        pointers to that row. Only asked where `rows` is not None.
        """
        raise NotImplementedError(f"{self.name} has no row form")

    def needed_columns(self, site: Site, columns: Span) -> tuple[Span | None, ...] | None:
        """For each input, the columns that these columns of the output need, clipped to the input.

        None in place of a span for an input that is constant or absent; None for the whole where the node cannot be
        split by columns.
        """
        return None

    def restricted(self, site: Site, rows: Span, columns: Span) -> Site:
        """The same computation for a part of the output alone, as a site of its own: a smaller node.

        Its input types hold exactly the rows (`rows`' needs) and columns (`needed_columns`) that the part needs; its
        operator pads only where the part touches the border. Only asked where `needed_columns` is not None.
        """
        raise NotImplementedError(f"{self.name} cannot be split")

    def macs(self, site: Site) -> int:
        """Multiply-accumulates of one inference; 0 for operators that only move or map values."""
        return 0
