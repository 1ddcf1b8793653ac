"""A TFLite file to a Graph: tensors, operators, variables; every blocker found in one pass."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from thimble.compiler.importers.tflite.arity import check_input_count
from thimble.compiler.importers.tflite.decoders import CUSTOM_DECODERS, DECODERS
from thimble.compiler.importers.tflite.decoding import Decoded, FileOp
from thimble.compiler.importers.tflite.file import FileOperator, FileSubgraph, FileTensor, ModelFile, read_model
from thimble.compiler.importers.tflite.schema import BuiltinOperator
from thimble.compiler.ir.errors import MalformedModel, UnsupportedOp, quoted
from thimble.compiler.ir.graph import Graph, Node, Role, Site, Value, constant, verify
from thimble.compiler.ir.operator import Array, Operator
from thimble.compiler.ir.types import MAX_TENSOR_BYTES, DType, TensorType
from thimble.compiler.ir.unused import without_unused
from thimble.compiler.ops.constraints import NARROW
from thimble.compiler.ops.convolution import WeightedOperator
from thimble.compiler.ops.dequantize import Dequantize, dequantized
from thimble.compiler.ops.executor import Executor
from thimble.compiler.ops.support import computes_in_float, limit_broken, unsupported
from thimble.compiler.ops.variables import AssignVariable, ReadVariable, default_contents, variable_contents

_VARIABLE_OPS = (BuiltinOperator.VAR_HANDLE, BuiltinOperator.CALL_ONCE)
_HANDLE_USERS = (BuiltinOperator.READ_VARIABLE, BuiltinOperator.ASSIGN_VARIABLE)
_HANDLE_TYPES = ("RESOURCE", "INT32")


def import_tflite(data: bytes, name: str) -> Graph:
    """Read a TFLite model.

    `name` becomes the graph's. Raises MalformedModel for a file that breaks the format, and UnsupportedOp with
    every blocker in its `blockers` for a sound model that Thimble does not support. Float models are taken: whether
    firmware can be made of a graph, compiler/ops/support.py says.
    """
    model = read_model(data)
    if not model.subgraphs:
        raise MalformedModel("The file holds no subgraph; it is not a usable TFLite model.")
    return _Importer(model, name).run()


@dataclass
class _Importer:
    """Builds the graph of subgraph 0, gathering blockers instead of stopping at the first."""

    model: ModelFile
    name: str
    values: list[Value] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    state_bytes: int = 0
    blockers: list[str] = field(default_factory=list)
    float_limits: list[str] = field(default_factory=list)
    states: dict[tuple[str, str], int] = field(default_factory=dict)  # (container, shared name) -> value
    handles: dict[int, tuple[str, str]] = field(default_factory=dict)  # tensor -> (container, shared name)

    def run(self) -> Graph:
        """The graph, verified; raises UnsupportedOp with all blockers."""
        main = self.model.subgraphs[0]
        self.values = [replace(self._value(t, i in main.inputs), tensor=i) for i, t in enumerate(main.tensors)]
        self._find_variables(main)
        for operator in main.operators:
            with self._collect():
                self._add_operator(main, operator)
        self._check_interface(main)
        if self.blockers:
            raise unsupported([*self.blockers, *self.float_limits])
        graph = without_unused(Graph(self.name, tuple(self.values), tuple(self.nodes), main.inputs, main.outputs))
        verify(graph)
        return graph

    @contextmanager
    def _collect(self) -> Iterator[None]:
        try:
            yield
        except UnsupportedOp as error:
            self.blockers.append(str(error))

    def _value(self, tensor: FileTensor, is_input: bool) -> Value:
        """A tensor of the file as a value; types without a DType get a placeholder that no operator takes."""
        type_ = TensorType(tensor.shape, tensor.dtype or DType.INT8, tensor.quant)
        if tensor.data is not None and not is_input:
            return constant(tensor.name, tensor.data, type_)
        if tensor.is_variable:
            self._count_state(tensor.name, type_)
            return Value(tensor.name, type_, Role.STATE, variable_contents(type_))
        return Value(tensor.name, type_, Role.INPUT if is_input else Role.ACTIVATION)

    def _count_state(self, name: str, type_: TensorType) -> None:
        """Bound what variables take together before anything is allocated for this one."""
        type_.check_size(f"Variable {quoted(name)}")
        self.state_bytes += type_.bytes
        if self.state_bytes > MAX_TENSOR_BYTES:
            raise MalformedModel(f"The variables up to {quoted(name)} take more than {MAX_TENSOR_BYTES} bytes.")

    def _add_operator(self, subgraph: FileSubgraph, operator: FileOperator) -> None:
        check_input_count(operator)
        if operator.code in _VARIABLE_OPS:
            return
        decoder = CUSTOM_DECODERS.get(operator.custom) if operator.custom else DECODERS.get(operator.code)
        if decoder is None:
            raise UnsupportedOp(
                f"{operator.source}: this operator is not supported; `thimble ops` lists those that are."
            )
        tensors = operator.inputs[1:] if operator.code in _HANDLE_USERS else operator.inputs
        if any(i in self.handles for i in (*tensors, *operator.outputs)):
            raise MalformedModel(f"{operator.source} uses the handle of a variable as if it were a tensor.")
        inputs, outputs = self._operands(operator), operator.outputs
        self._check_types(subgraph, operator, inputs)
        view = FileOp(
            source=operator.source,
            inputs=tuple(None if i is None else self.values[i] for i in inputs),
            outputs=tuple(self.values[i] for i in outputs),
            table=operator.options,
            options_type=operator.options_type,
            intermediates=tuple(self.values[i] for i in operator.intermediates),
        )
        try:
            decoded = decoder(view)
        except (struct.error, TypeError) as error:  # what flatbuffers raises where a table lies outside of the file
            raise MalformedModel(f"{operator.source} has options that point outside of the file.") from error
        self._add_node(operator, decoded, inputs)

    def _operands(self, operator: FileOperator) -> tuple[int | None, ...]:
        """Inputs as value indices; a resource handle stands for the state behind it."""
        return tuple(self.states[self.handles[i]] if i in self.handles else i for i in operator.inputs)

    def _add_node(self, operator: FileOperator, decoded: Decoded, inputs: tuple[int | None, ...]) -> None:
        kept = tuple(inputs[i] if i < len(inputs) else None for i in decoded.inputs)
        if isinstance(decoded.op, Dequantize) and self._fold_packed(kept, operator.outputs):
            return
        kept = self._real_weights(decoded.op, kept)
        node = Node(decoded.op, kept, operator.outputs, operator.source)
        site = Site(
            decoded.op,
            tuple(None if i is None else self.values[i] for i in kept),
            tuple(self.values[i] for i in operator.outputs),
            operator.source,
        )
        if len(site.op.shapes(site)) != len(site.outputs):
            raise MalformedModel(f"{operator.source} has {len(site.outputs)} outputs, which is not what it makes.")
        self._check_limits(site)
        self.nodes.append(node)

    def _real_weights(self, op: Operator, inputs: tuple[int | None, ...]) -> tuple[int | None, ...]:
        """Inputs of a float operator, its int8 weights (of a hybrid model) replaced by the reals they stand for."""
        if not isinstance(op, WeightedOperator) or len(inputs) < 2 or inputs[0] is None or inputs[1] is None:
            return inputs
        weights = self.values[inputs[1]]
        quantized = weights.type.dtype in NARROW and weights.type.quant is not None
        if self.values[inputs[0]].type.dtype is not DType.FLOAT32 or weights.data is None or not quantized:
            return inputs
        type_ = TensorType(weights.type.shape, DType.FLOAT32)
        type_.check_size(f"Tensor {quoted(weights.name)}")
        real = replace(
            constant(weights.name, dequantized(weights.constant, weights.quant), type_), tensor=weights.tensor
        )
        self.values.append(real)
        return (inputs[0], len(self.values) - 1, *inputs[2:])

    def _fold_packed(self, inputs: tuple[int | None, ...], outputs: tuple[int, ...]) -> bool:
        """Make the reals of a packed constant a constant, since no kernel dequantizes such; whether it was one."""
        stored = None if not inputs or inputs[0] is None else self.values[inputs[0]]
        if stored is None or len(outputs) != 1 or stored.data is None or stored.type.quant is None:
            return False
        made = self.values[outputs[0]]
        same = made.type.shape == stored.type.shape and made.type.dtype is DType.FLOAT32
        if not (stored.type.dtype.is_packed and same):
            return False
        real = constant(made.name, dequantized(stored.constant, stored.type.quant), made.type)
        self.values[outputs[0]] = replace(real, tensor=made.tensor)
        return True

    def _check_limits(self, site: Site) -> None:
        """Limits of integer nodes are the file's own; those of float nodes depend on how they are quantized."""
        reason = limit_broken(site)
        if reason is not None and computes_in_float(site):
            self.float_limits.append(f"{site.source}: {reason}")
        elif reason is not None:
            raise UnsupportedOp(f"{site.source}: {reason}")

    def _check_types(self, subgraph: FileSubgraph, operator: FileOperator, inputs: tuple[int | None, ...]) -> None:
        for i in (*operator.inputs, *operator.outputs):
            if i is None or i in self.handles:
                continue
            tensor = subgraph.tensors[i]
            if tensor.dtype is None:
                raise UnsupportedOp(f"{operator.source}: tensor {quoted(tensor.name)} has type {tensor.type_name}.")
            if tensor.dynamic:
                raise UnsupportedOp(
                    f"{operator.source}: tensor {quoted(tensor.name)} has a dynamic shape; "
                    "convert the model with fixed shapes."
                )
            if tensor.unsupported:
                raise UnsupportedOp(f"{operator.source}: tensor {quoted(tensor.name)} {tensor.unsupported}.")

    def _check_interface(self, main: FileSubgraph) -> None:
        """Inputs and outputs must exist, be of a known type and fixed shape; blockers say which are not."""
        if not main.outputs or not main.operators:
            raise MalformedModel("The model has no operators or no outputs.")
        if len(set(main.inputs)) != len(main.inputs):
            raise MalformedModel("The model names one tensor twice among its inputs.")
        for i in (*main.inputs, *main.outputs):
            tensor = main.tensors[i]
            if tensor.dtype is None:
                self.blockers.append(
                    f"Tensor {quoted(tensor.name)} has type {tensor.type_name}, which is not supported."
                )
            elif tensor.dynamic:
                self.blockers.append(
                    f"Tensor {quoted(tensor.name)} has a dynamic shape; convert the model with fixed shapes."
                )
        for i, tensor in enumerate(main.tensors):
            if tensor.is_variable and (tensor.data is not None or i in main.inputs):
                other = "an input of the model" if i in main.inputs else "constant"
                self.blockers.append(f"Tensor {quoted(tensor.name)} is a variable and yet {other}; make it either.")

    def _find_variables(self, main: FileSubgraph) -> None:
        """One state for each resource variable, of the type of the first tensor assigned to it (or read from it)."""
        for operator in main.operators:
            if operator.code == BuiltinOperator.VAR_HANDLE:
                for i in operator.outputs:
                    if i in self.handles or main.tensors[i].type_name not in _HANDLE_TYPES:
                        raise MalformedModel(f"{operator.source} must make a resource tensor that nothing else makes.")
                    self.handles[i] = operator.variable
        initial = self._initial_contents(main)
        assignments = [o for o in main.operators if o.code == BuiltinOperator.ASSIGN_VARIABLE]
        reads = [o for o in main.operators if o.code == BuiltinOperator.READ_VARIABLE]
        for operator in (*assignments, *reads):
            handle = operator.inputs[0] if operator.inputs else None
            if handle not in self.handles:
                raise MalformedModel(f"{operator.source} works on a tensor that no VAR_HANDLE made.")
            variable = self.handles[handle]
            uses = operator.outputs if operator.code == BuiltinOperator.READ_VARIABLE else operator.inputs[1:]
            if not uses or uses[0] is None:
                raise MalformedModel(f"{operator.source} lacks the value that it reads or writes.")
            if variable not in self.states:
                type_ = self.values[uses[0]].type
                self._count_state(variable[1], type_)
                data = initial.get(variable, default_contents(type_))
                if data.shape != type_.shape or data.dtype != type_.dtype.numpy:
                    raise MalformedModel(
                        f"Variable {quoted(variable[1])} is initialized with another shape or type than its uses."
                    )
                self.states[variable] = len(self.values)
                self.values.append(Value(variable[1], type_, Role.STATE, data))
        unused = [h for h in self.handles if self.handles[h] not in self.states]
        for handle in unused:
            del self.handles[handle]

    def _initial_contents(self, main: FileSubgraph) -> dict[tuple[str, str], Array]:
        """What the CALL_ONCE subgraphs assign to each variable."""
        contents: dict[tuple[str, str], Array] = {}
        used = False
        for operator in main.operators:
            used = used or operator.code in _HANDLE_USERS
            if operator.code == BuiltinOperator.CALL_ONCE:
                if used:
                    self.blockers.append(f"{operator.source} must come before all operators that use variables.")
                index = operator.called_subgraph
                if not 0 < index < len(self.model.subgraphs):
                    raise MalformedModel(f"{operator.source} calls subgraph {index}, which is not there.")
                with self._collect():
                    contents.update(_run_initializer(self.model, index))
        return contents


def _run_initializer(model: ModelFile, index: int) -> dict[tuple[str, str], Array]:
    """Run an initialization subgraph in the integer reference; the final contents of each variable."""
    subgraph = model.subgraphs[index]
    if any(operator.code == BuiltinOperator.CALL_ONCE for operator in subgraph.operators) or subgraph.inputs:
        raise UnsupportedOp(f"Subgraph {index}: an initialization subgraph must have no inputs and call no other.")
    importer = _Importer(replace(model, subgraphs=(subgraph,)), f"initializer {index}")
    importer.values = [importer._value(tensor, False) for tensor in subgraph.tensors]
    importer._find_variables(subgraph)
    for operator in subgraph.operators:
        importer._add_operator(subgraph, operator)
    if any(not isinstance(node.op, (AssignVariable, ReadVariable)) for node in importer.nodes):
        raise UnsupportedOp(f"Subgraph {index}: an initialization subgraph may only assign constants to variables.")
    graph = Graph(importer.name, tuple(importer.values), tuple(importer.nodes), (), tuple(importer.states.values()))
    verify(graph)
    executor = Executor(graph)
    return dict(zip(importer.states, executor.invoke([]), strict=True))
