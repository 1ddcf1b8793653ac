"""What a decoder sees of one node of an ONNX model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from onnx import AttributeProto, NodeProto

from thimble.compiler.importers.onnx.builder import Builder, Tensor
from thimble.compiler.importers.onnx.tensors import tensor_array
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp, quoted
from thimble.compiler.ir.operator import Array, Shape
from thimble.compiler.ir.types import DType
from thimble.compiler.ops.axes import wrap_axis

MAX_LIST = 1 << 12
"""Entries of a list attribute: shapes, axes, pads, sizes of parts."""


@dataclass(frozen=True)
class FileNode:
    """One node. Methods raise UnsupportedOp or MalformedModel with `source` in the sentence."""

    proto: NodeProto
    source: str
    opset: int
    inputs: tuple[Tensor | None, ...]
    builder: Builder
    folder: Path | None = None

    @property
    def output_count(self) -> int:
        """Outputs that the node names, absent ones at the end left out."""
        names = list(self.proto.output)
        while names and not names[-1]:
            names.pop()
        return len(names)

    def input(self, index: int = 0) -> Tensor:
        """Input `index`, which must be present."""
        tensor = self.inputs[index] if index < len(self.inputs) else None
        if tensor is None:
            raise MalformedModel(f"{self.source} lacks its input {index}.")
        return tensor

    def optional(self, index: int) -> Tensor | None:
        """Input `index`, or None where it is absent."""
        return self.inputs[index] if index < len(self.inputs) else None

    def shape(self, index: int = 0) -> Shape:
        """The shape of input `index`."""
        return self.builder.shape(self.input(index))

    def dtype(self, index: int = 0) -> DType:
        """The element type of input `index`."""
        return self.builder.dtype(self.input(index))

    def constant(self, index: int, what: str) -> Array:
        """The contents of input `index`, which must be known at compile time; `what` names it."""
        tensor = self.input(index)
        if not self.builder.is_constant(tensor):
            raise self.refused(f"the {what} must be constant, not computed or given at run time.")
        return self.builder.array(tensor)

    def integers(self, index: int, what: str) -> tuple[int, ...]:
        """Input `index`, a constant of integers, flattened."""
        array = self.constant(index, what)
        if array.dtype.kind not in "iu" or array.size > MAX_LIST:
            raise self.malformed(f"the {what} must be at most {MAX_LIST} integers.")
        return tuple(int(x) for x in array.reshape(-1))

    def axis(self, axis: int, rank: int) -> int:
        """`axis` counted from 0."""
        return wrap_axis(axis, rank, self.source)

    def has(self, name: str) -> bool:
        """Whether the node has attribute `name`."""
        return any(attribute.name == name for attribute in self.proto.attribute)

    def integer(self, name: str, default: int) -> int:
        """An integer attribute."""
        found = self._attribute(name, AttributeProto.INT)
        return default if found is None else int(found.i)

    def number(self, name: str, default: float) -> float:
        """A float attribute."""
        found = self._attribute(name, AttributeProto.FLOAT)
        return default if found is None else float(found.f)

    def text(self, name: str, default: str) -> str:
        """A string attribute."""
        found = self._attribute(name, AttributeProto.STRING)
        return default if found is None else found.s.decode("utf-8", "replace")

    def ints(self, name: str) -> tuple[int, ...] | None:
        """An attribute of several integers, None where it is absent."""
        found = self._attribute(name, AttributeProto.INTS)
        if found is None:
            return None
        if len(found.ints) > MAX_LIST:
            raise self.malformed(f"attribute {name} has {len(found.ints)} entries; at most {MAX_LIST} are possible.")
        return tuple(int(i) for i in found.ints)

    def tensor(self, name: str) -> Array | None:
        """A tensor attribute, None where it is absent."""
        found = self._attribute(name, AttributeProto.TENSOR)
        return None if found is None else tensor_array(found.t, self.folder, f"{self.source}, attribute {name}")

    def floats(self, name: str) -> tuple[float, ...] | None:
        """An attribute of several floats, None where it is absent."""
        found = self._attribute(name, AttributeProto.FLOATS)
        return None if found is None else tuple(float(x) for x in found.floats)

    def axes(self, index: int = 1) -> tuple[int, ...] | None:
        """The axes, which newer opsets give as input `index` and older ones as an attribute; None where absent."""
        if self.optional(index) is not None:
            return self.integers(index, "axes")
        return self.ints("axes")

    def refused(self, reason: str) -> UnsupportedOp:
        """The error for what Thimble does not take."""
        return UnsupportedOp(f"{self.source}: {reason}")

    def malformed(self, reason: str) -> MalformedModel:
        """The error for what makes no sense."""
        return MalformedModel(f"{self.source}: {reason}")

    def _attribute(self, name: str, kind: int) -> AttributeProto | None:
        found: list[AttributeProto] = [attribute for attribute in self.proto.attribute if attribute.name == name]
        if not found:
            return None
        if len(found) > 1 or found[0].type != kind:
            raise self.malformed(f"attribute {quoted(name)} is of another type, or stands twice.")
        return found[0]


Decoder = Callable[[FileNode], Sequence[Tensor]]
"""The outputs of a node, in order; those at the end that nothing may read can be left out."""
