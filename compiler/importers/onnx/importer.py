"""An ONNX file to a Graph: images as (N, H, W, C), constants folded, every blocker found in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, ValueInfoProto

from thimble.compiler.importers.onnx.builder import Builder, Tensor, channels_last
from thimble.compiler.importers.onnx.decoders import DECODERS
from thimble.compiler.importers.onnx.decoding import FileNode
from thimble.compiler.importers.onnx.functions import MAX_DEPTH, bound_attributes, model_functions, standard_function
from thimble.compiler.importers.onnx.interface import store_outputs, wants_channels_last
from thimble.compiler.importers.onnx.model_file import MAX_NODES, domain_of, opsets, read_model, source_of
from thimble.compiler.importers.onnx.signatures import check_operands
from thimble.compiler.importers.onnx.tensors import (
    NARROW_INTEGERS,
    ROUNDED_FLOATS,
    checked_shape,
    dtype_of,
    tensor_array,
)
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp, UsageError, listed, quoted
from thimble.compiler.ir.graph import Graph, verify
from thimble.compiler.ir.operator import Shape
from thimble.compiler.ir.unused import without_unused
from thimble.compiler.ops.support import unsupported

Scope = dict[str, Tensor | None]
"""The tensors of a graph or function by name; None for one that an unsupported node would have made."""


def import_onnx(
    data: bytes, name: str, folder: Path | None = None, input_shapes: Mapping[str, Shape] | None = None
) -> Graph:
    """Read an ONNX model, opset 7 to 28.

    `name` becomes the graph's; `folder` is where external data may lie; `input_shapes` gives inputs with dynamic
    dimensions their shape. Raises MalformedModel for a file that breaks the format, UnsupportedOp with every blocker
    in its `blockers` for a sound model that Thimble does not support, UsageError for shapes that do not fit.
    """
    return _Importer(read_model(data), name, folder, dict(input_shapes or {})).run()


@dataclass
class _Importer:
    """Builds the graph, gathering blockers instead of stopping at the first."""

    model: ModelProto
    name: str
    folder: Path | None
    input_shapes: dict[str, Shape]
    builder: Builder = field(default_factory=Builder)
    blockers: list[str] = field(default_factory=list)
    nodes_seen: int = 0

    def run(self) -> Graph:
        """The graph, verified; raises UnsupportedOp with all blockers."""
        graph = self.model.graph
        scope: Scope = {"": None}
        self._add_constants(graph, scope)
        inputs = self._add_inputs(graph, scope)
        functions = model_functions(self.model)
        for position, node in enumerate(graph.node):
            self._add_node(node, source_of(node, position), scope, opsets(self.model), functions, MAX_DEPTH)
        if self.blockers:
            raise unsupported(self.blockers)
        outputs = self._outputs(graph, scope)
        made = Graph(self.name, tuple(self.builder.values), tuple(self.builder.nodes), tuple(inputs), tuple(outputs))
        made = without_unused(made)
        verify(made)
        return made

    def _block(self, error: UnsupportedOp) -> None:
        text = str(error)
        if text not in self.blockers:
            self.blockers.append(text)

    def _add_constants(self, graph: GraphProto, scope: Scope) -> None:
        for tensor in graph.initializer:
            self.builder.source = f"Tensor {quoted(tensor.name)}"
            try:
                made = self.builder.constant(tensor_array(tensor, self.folder), tensor.name)
                self._mark_narrow(made, tensor.data_type)
                scope[tensor.name] = made
            except UnsupportedOp as error:
                self._block(error)
                scope[tensor.name] = None
        for sparse in graph.sparse_initializer:
            self._block(UnsupportedOp(f"Tensor {quoted(sparse.values.name)} is sparse, which is not supported."))
            scope[sparse.values.name] = None

    def _add_inputs(self, graph: GraphProto, scope: Scope) -> list[int]:
        given = [value for value in graph.input if value.name not in scope]
        unknown = sorted(set(self.input_shapes) - {value.name for value in given})
        if unknown:
            names = listed([quoted(value.name) for value in given])
            raise UsageError(f"The model has no input {quoted(unknown[0])}; its inputs are {names}.")
        indices = []
        for value in given:
            try:
                tensor = self._input(value)
            except UnsupportedOp as error:
                self._block(error)
                scope[value.name] = None
                continue
            indices.append(tensor.index)
            scope[value.name] = tensor
        return indices

    def _input(self, value: ValueInfoProto) -> Tensor:
        where = f"Input {quoted(value.name)}"
        if not value.type.HasField("tensor_type"):
            raise UnsupportedOp(f"{where} is no tensor; sequences, maps and optional values are not supported.")
        kind = value.type.tensor_type
        dtype = dtype_of(kind.elem_type, where)
        shape = self._input_shape(value, where)
        checked_shape(shape, dtype.bytes, where)
        self.builder.source = where
        last = wants_channels_last(self.model.graph, value.name, len(shape))
        order = channels_last(len(shape)) if last else tuple(range(len(shape)))
        made = self.builder.input(value.name, shape, dtype, order)
        self._mark_narrow(made, kind.elem_type)
        return made

    def _mark_narrow(self, tensor: Tensor, code: int) -> None:
        if code in ROUNDED_FLOATS or code in NARROW_INTEGERS:
            self.builder.narrow[tensor.index] = code

    def _input_shape(self, value: ValueInfoProto, where: str) -> Shape:
        """The shape of an input; a leading dynamic dimension is the batch, which is 1."""
        kind = value.type.tensor_type
        dims = [int(d.dim_value) if d.HasField("dim_value") else -1 for d in kind.shape.dim]
        asked = self.input_shapes.get(value.name)
        if asked is not None:
            if kind.HasField("shape") and (
                len(asked) != len(dims) or any(d not in (-1, a) for a, d in zip(asked, dims, strict=True))
            ):
                raise UsageError(f"{where} has the shape {listed(dims)} in the model; {listed(asked)} does not fit.")
            return asked
        if dims[:1] == [-1] and len(dims) > 1:
            dims[0] = 1
        if not kind.HasField("shape") or -1 in dims:
            raise UnsupportedOp(f"{where} has a dynamic shape; fix it with --input-shape NAME=1x3x32x32.")
        return tuple(dims)

    def _add_node(
        self,
        node: NodeProto,
        source: str,
        scope: Scope,
        versions: Mapping[str, int],
        functions: Mapping[tuple[str, str], FunctionProto],
        depth: int,
    ) -> None:
        """Convert a node, or note why that cannot be; its outputs are then None in the scope."""
        self.nodes_seen += 1
        if self.nodes_seen > MAX_NODES:
            raise MalformedModel(f"The model has more than {MAX_NODES} nodes with those of its functions.")
        if any(name and scope.get(name) is None for name in node.input):
            scope.update(dict.fromkeys(node.output))  # what it reads is not there: the reason is listed already
            return
        self.builder.source = source
        inputs = tuple(scope[name] if name else None for name in node.input)
        try:
            outputs = self._converted(node, source, inputs, versions, functions, depth)
        except UnsupportedOp as error:
            self._block(error)
            scope.update(dict.fromkeys(node.output))
            return
        wanted = [name for name in node.output if name]
        if len(outputs) < len(wanted):
            self._block(UnsupportedOp(f"{source}: its output {quoted(wanted[len(outputs)])} is not supported."))
        for name, tensor in zip(node.output, (*outputs, *(None,) * len(node.output)), strict=False):
            scope[name] = tensor if name else None
            if tensor is not None and name and depth == MAX_DEPTH:
                self.builder.name(tensor, name)

    def _converted(
        self,
        node: NodeProto,
        source: str,
        inputs: tuple[Tensor | None, ...],
        versions: Mapping[str, int],
        functions: Mapping[tuple[str, str], FunctionProto],
        depth: int,
    ) -> Sequence[Tensor | None]:
        domain = domain_of(node)
        opset = versions.get(domain, 1)
        function = functions.get((node.domain, node.op_type))
        if function is None and domain == "" and node.op_type in DECODERS:
            check_operands(node, source, opset, inputs, self.builder)
            view = FileNode(node, source, opset, inputs, self.builder, self.folder)
            return DECODERS[node.op_type](view)
        if function is None:
            function = standard_function(node, opset, inputs, self.builder)
        if function is None or any(attribute.HasField("g") for attribute in node.attribute):
            raise UnsupportedOp(f"{source}: this operator is not supported; docs/onnx.md lists those that are.")
        if depth == 0:
            raise UnsupportedOp(f"{source}: functions that call each other over {MAX_DEPTH} deep are not supported.")
        return self._call(node, source, inputs, function, versions, functions, depth - 1)

    def _call(
        self,
        call: NodeProto,
        source: str,
        inputs: tuple[Tensor | None, ...],
        function: FunctionProto,
        versions: Mapping[str, int],
        functions: Mapping[tuple[str, str], FunctionProto],
        depth: int,
    ) -> Sequence[Tensor | None]:
        """The outputs of a function's body, in whose scope only its own values are known."""
        if len(inputs) > len(function.input):
            raise MalformedModel(f"{source} gives {len(inputs)} inputs to a function of {len(function.input)}.")
        scope: Scope = dict(zip(function.input, (*inputs, *(None,) * len(function.input)), strict=False))
        absent = {name for name, tensor in scope.items() if tensor is None}
        own = {("" if o.domain == "ai.onnx" else o.domain): int(o.version) for o in function.opset_import}
        versions = {**versions, **own}
        for node in function.node:
            bound = bound_attributes(node, call, function)
            for position, name in enumerate(bound.input):
                if name in absent:
                    bound.input[position] = ""
            for name in bound.input:
                if name and name not in scope:
                    raise MalformedModel(f"{source}: its function reads {quoted(name)} before anything writes it.")
            before = len(self.blockers)
            self._add_node(bound, source, scope, versions, functions, depth)
            if len(self.blockers) > before:
                raise UnsupportedOp(self.blockers.pop())
        return [scope.get(name) for name in function.output]

    def _outputs(self, graph: GraphProto, scope: Scope) -> list[int]:
        tensors = []
        for value in graph.output:
            tensor = scope[value.name]
            if tensor is None:
                raise UnsupportedOp(f"Output {quoted(value.name)} is nothing that the graph computes.")
            tensors.append((value.name, tensor))
        return store_outputs(self.builder, tensors)
