"""ONNX nodes under construction: what the ATen decoders write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

from thimble.compiler.importers.pytorch.archive import Call, Program, Ref, TensorMeta
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp


@dataclass
class Emitter:
    """Nodes and constants so far."""

    program: Program
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)
    aliases: dict[str, str] = field(default_factory=dict)
    source: str = ""

    def emit(self, kind: str, inputs: Sequence[str | None], count: int = 1, **attributes: Any) -> list[str]:
        """Add a node; the names of its outputs."""
        outputs = [f"thimble.{len(self.nodes)}.{i}" for i in range(count)]
        given = {name: value for name, value in attributes.items() if value is not None}
        self.nodes.append(helper.make_node(kind, [name or "" for name in inputs], outputs, self.source, **given))
        return outputs

    def one(self, kind: str, *inputs: str | None, **attributes: Any) -> str:
        """Add a node of one output; its name."""
        return self.emit(kind, inputs, **attributes)[0]

    def constant(self, array: Any) -> str:
        """Add a constant; its name."""
        name = f"thimble.constant.{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def integers(self, values: Sequence[int]) -> str:
        """Add a constant of integers, such as axes or a shape; its name."""
        return self.constant(np.asarray(values, np.int64))


@dataclass(frozen=True)
class View:
    """A call with the emitter; methods raise MalformedModel or UnsupportedOp with the call's source."""

    call: Call
    emitter: Emitter

    def get(self, name: str, default: Any = None) -> Any:
        """An argument, or its default."""
        value = self.call.arguments.get(name, default)
        return default if value is None else value

    def integer(self, name: str, default: int | None = None) -> int:
        """An integer argument."""
        value = self.get(name, default)
        if not isinstance(value, int):
            raise MalformedModel(f"{self.call.source}: its argument {name} is no integer.")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """A numeric argument."""
        value = self.get(name, default)
        if not isinstance(value, int | float):
            raise MalformedModel(f"{self.call.source}: its argument {name} is no number.")
        return float(value)

    def integers(self, name: str, default: Sequence[int] | None = None) -> list[int]:
        """An argument of several integers."""
        value = self.get(name, default)
        if not isinstance(value, list | tuple) or not all(isinstance(i, int) for i in value):
            raise MalformedModel(f"{self.call.source}: its argument {name} is no list of integers.")
        return list(value)

    def spatial(self, name: str, axes: int, default: int) -> list[int]:
        """A number for each spatial axis; one alone holds for all."""
        value = self.integers(name, [default])
        return value * axes if len(value) == 1 else (value or [default] * axes)

    def tensor(self, name: str) -> str:
        """A tensor argument, which must be there."""
        found = self.optional(name)
        if found is None:
            raise MalformedModel(f"{self.call.source} lacks its argument {name}.")
        return found

    def optional(self, name: str) -> str | None:
        """A tensor argument, None where it is absent."""
        value = self.call.arguments.get(name)
        return self.emitter.aliases.get(value.name, value.name) if isinstance(value, Ref) else None

    def tensors(self, name: str) -> list[str]:
        """An argument of several tensors."""
        value = self.get(name, [])
        if not isinstance(value, list) or not all(isinstance(part, Ref) for part in value):
            raise MalformedModel(f"{self.call.source}: its argument {name} is no list of tensors.")
        return [self.emitter.aliases.get(part.name, part.name) for part in value]

    def meta(self, name: str) -> TensorMeta:
        """Shape and type of a tensor argument."""
        value = self.call.arguments.get(name)
        meta = self.emitter.program.metas.get(value.name) if isinstance(value, Ref) else None
        if meta is None:
            raise MalformedModel(f"{self.call.source} lacks its argument {name}, or its shape.")
        return meta

    def operand(self, name: str, like: str = "self") -> str:
        """A tensor argument, or a number as a constant of another argument's type."""
        value = self.call.arguments.get(name)
        if isinstance(value, bool | int | float):
            return self.emitter.constant(np.asarray(value, self.meta(like).dtype))
        return self.tensor(name)

    def output_shape(self) -> tuple[int, ...]:
        """The shape that the program gives the first output."""
        meta = self.emitter.program.metas.get(self.call.outputs[0]) if self.call.outputs else None
        if meta is None:
            raise MalformedModel(f"{self.call.source} makes no tensor.")
        return meta.shape

    def refused(self, reason: str) -> UnsupportedOp:
        """The error for what Thimble does not take."""
        return UnsupportedOp(f"{self.call.source}: {reason}")


Decoder = Callable[[View], Sequence[str]]
"""The names of a call's outputs, in order."""
