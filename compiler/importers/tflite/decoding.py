"""What a decoder sees of one operator of a TFLite file, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from flatbuffers.table import Table
from tflite.BuiltinOptions import BuiltinOptions

from thimble.compiler.importers.tflite.schema import Activation as FileActivation
from thimble.compiler.importers.tflite.schema import Padding as FilePadding
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp
from thimble.compiler.ir.graph import Role, Value
from thimble.compiler.ir.operator import Array, Operator
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.activation import Activation
from thimble.compiler.ops.window import Padding

Options = TypeVar("Options")


@dataclass(frozen=True, slots=True)
class FileOp:
    """One operator of the file. Methods raise UnsupportedOp or MalformedModel with `source` in the sentence."""

    source: str
    inputs: tuple[Value | None, ...]
    outputs: tuple[Value, ...]
    table: Table | None
    options_type: int
    intermediates: tuple[Value, ...] = ()

    def options(self, schema: type[Options]) -> Options:
        """The builtin options read as `schema`, a class of the tflite package, which must be what they are."""
        options: Any = schema()
        if self.table is None:
            raise MalformedModel(f"{self.source} lacks its options.")
        if self.options_type != getattr(BuiltinOptions, schema.__name__):
            raise MalformedModel(f"{self.source} has the options of another operator.")
        options.Init(self.table.Bytes, self.table.Pos)
        return cast(Options, options)

    def input(self, index: int) -> Value:
        """Input `index`, which must be present."""
        value = self.inputs[index] if index < len(self.inputs) else None
        if value is None:
            raise MalformedModel(f"{self.source} lacks its input {index}.")
        return value

    def output(self, index: int = 0) -> Value:
        """Output `index`, which must be present."""
        if index >= len(self.outputs):
            raise MalformedModel(f"{self.source} lacks its output {index}.")
        return self.outputs[index]

    def has_input(self, index: int) -> bool:
        """Whether input `index` is present."""
        return index < len(self.inputs) and self.inputs[index] is not None

    def constant(self, index: int, what: str) -> Array:
        """Contents of input `index`; `what` names it where it is not constant."""
        value = self.input(index)
        if value.role is not Role.CONSTANT:
            raise UnsupportedOp(f"{self.source}: the {what} must be constant, not computed; fix it in the model.")
        return value.constant

    def integers(self, index: int, what: str) -> tuple[int, ...]:
        """Input `index`, an int32 or int64 constant, flattened."""
        array = self.constant(index, what)
        if self.input(index).type.dtype not in (DType.INT32, DType.INT64):
            raise MalformedModel(f"{self.source}: the {what} must be int32 or int64, not {array.dtype}.")
        return tuple(int(x) for x in array.reshape(-1))

    def activation(self, code: int) -> Activation:
        """A fused activation code."""
        known = {
            FileActivation.NONE: Activation.NONE,
            FileActivation.RELU: Activation.RELU,
            FileActivation.RELU_N1_TO_1: Activation.RELU_N1_TO_1,
            FileActivation.RELU6: Activation.RELU6,
        }
        if code not in known:
            raise UnsupportedOp(f"{self.source}: fused activation {code} is not supported; use NONE, RELU or RELU6.")
        return known[code]

    def padding(self, code: int) -> Padding:
        """A padding code."""
        known = {FilePadding.SAME: Padding.SAME, FilePadding.VALID: Padding.VALID}
        if code not in known:
            raise MalformedModel(f"{self.source} has padding code {code}, which does not exist.")
        return known[code]


@dataclass(frozen=True, slots=True)
class Decoded:
    """The operator, and which of the file's inputs it keeps as data (the others became attributes)."""

    op: Operator
    inputs: tuple[int, ...]


Decoder = Callable[[FileOp], Decoded]
