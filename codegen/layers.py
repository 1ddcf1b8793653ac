"""Each node of the graph as the templates need it: parameters, pointers, constant arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from thimble.codegen import c_text
from thimble.compiler.ir.graph import Graph, Role, Site, Value
from thimble.compiler.ir.operator import (
    Accumulator,
    Argument,
    Array,
    EndRow,
    FirstRow,
    Input,
    InputRows,
    KernelCall,
    Output,
    OutputRows,
    Rounding,
    Scratch,
    Table,
)
from thimble.compiler.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class ConstantArray:
    """A constant array in flash: `comment` gives shape and source."""

    name: str
    c_type: str
    elements: int
    lines: tuple[str, ...]
    comment: str
    bytes: int


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
    """The node of one step as one C function."""

    step: int
    function: str
    title: str
    source: str
    locals: tuple[Local, ...]
    calls: tuple[Call, ...]


@dataclass(frozen=True, slots=True)
class Lowered:
    """The whole graph as C: layers in order, constant arrays in order of first use, kernels by name.

    `generated` are the files of kernels made for this graph; `plain_kernels` are those of the runtime.
    """

    layers: tuple[Layer, ...]
    constants: tuple[ConstantArray, ...]
    kernels: tuple[str, ...]
    plain_kernels: tuple[str, ...]
    generated: Mapping[str, str]


def lower_graph(graph: Graph, plan: Plan, prefix: str, rounding: Rounding) -> Lowered:
    """Lower every node but those of views; `prefix` begins the name of each constant array, which is external."""
    lowering = _Lowering(graph, plan, prefix)
    layers = tuple(
        lowering.layer(step, site, site.lower(rounding))
        for step, (node, site) in enumerate(zip(graph.nodes, graph.sites, strict=True))
        if not any(map(plan.is_view, node.outputs))
    )
    kernels = sorted({call.kernel for layer in layers for call in layer.calls})
    return Lowered(
        layers,
        tuple(lowering.constants.values()),
        tuple(kernels),
        tuple(sorted(lowering.plain_kernels)),
        lowering.generated,
    )


class _Lowering:
    def __init__(self, graph: Graph, plan: Plan, prefix: str) -> None:
        self._graph, self._plan, self._prefix = graph, plan, prefix
        self.constants: dict[object, ConstantArray] = {}
        self.plain_kernels: set[str] = set()
        self.generated: dict[str, str] = {}

    def layer(self, step: int, site: Site, calls: tuple[KernelCall, ...]) -> Layer:
        variables: dict[str, Local] = {}
        lowered = []
        for number, call in enumerate(calls):
            suffix = f"_{number}" if len(calls) > 1 else ""
            self.plain_kernels.update(call.source.needs if call.source else (call.kernel,))
            self.generated.update(call.source.files if call.source else ())
            scratch = 0
            arguments = []
            for argument in call.arguments:
                if isinstance(argument, Scratch | Accumulator):
                    name = f"scratch_{scratch}" if scratch else "scratch"
                    variables[name] = self._scratch_pointer(step, argument, name, scratch)
                    scratch += -(-argument.bytes // 8) * 8
                    arguments.append(name)
                else:
                    arguments.append(self._argument(step, site, argument, suffix, variables))
            fields = tuple((name, c_text.literal(value)) for name, value in call.params)
            params = f"params{suffix}" if fields else ""
            statement = c_text.call(f"thimble_{call.kernel}", [f"&{params}", *arguments] if params else arguments)
            lowered.append(Call(call.kernel, params, fields, statement))
        title = f"{site.op.name}: {self._types(site)}"
        function = f"layer_{step:02d}_{site.op.name}"
        return Layer(step, function, title, c_text.comment_text(site.source), tuple(variables.values()), tuple(lowered))

    def _types(self, site: Site) -> str:
        inputs = ", ".join(str(v.type) for v in site.inputs if v is not None)
        return f"{inputs} -> {', '.join(str(v.type) for v in site.outputs) or 'state'}"

    def _argument(self, step: int, site: Site, argument: Argument, suffix: str, variables: dict[str, Local]) -> str:
        node = self._graph.nodes[step]
        if isinstance(argument, Table):
            name = f"{self._prefix}_layer_{step:02d}_{argument.name}{suffix}"
            content = (argument.data.dtype.name, argument.data.tobytes())  # equal tables stand in flash once
            return self._constant(content, name, argument.data, argument.name)
        if isinstance(argument, FirstRow):
            return "0"
        if isinstance(argument, EndRow):
            form = site.op.rows(site)
            return str(form.steps if form else site.output().type.rows)
        if isinstance(argument, Input | InputRows):
            index = node.inputs[argument.index]
            value = site.input(argument.index)
            assert index is not None
            constant = ""
            if value.role is Role.CONSTANT:
                name = f"{self._prefix}_layer_{step:02d}_{_constant_label(site, argument.index)}"
                constant = self._constant(index, name, value.constant, f"tensor {c_text.comment_text(value.name)}")
                if isinstance(argument, Input):
                    return constant
            name = f"input_{argument.index}"
            if isinstance(argument, InputRows):
                variables[name] = self._rows(name, index, value, constant)
                return f"&{name}"
            variables[name] = self._pointer(name, index, value, argument.index not in site.op.state_inputs)
            return name
        assert isinstance(argument, Output | OutputRows)
        name, index, value = f"output_{argument.index}", node.outputs[argument.index], site.output(argument.index)
        rows = isinstance(argument, OutputRows)
        local = self._rows(name, index, value) if rows else self._pointer(name, index, value, False)
        variables[name] = replace(local, comment=local.comment + self._shared(step, argument.index))
        return f"&{name}" if rows else name

    def _shared(self, step: int, output: int) -> str:
        """Which operands an output lies over, as a comment."""
        node, values = self._graph.nodes[step], self._graph.values
        first = self._plan.value_offset(node.outputs[output])
        end = first + values[node.outputs[output]].type.bytes
        text = ""
        for position, i in enumerate(node.inputs):
            if i is not None and values[i].role is not Role.CONSTANT:
                start = self._plan.value_offset(i)
                if max(first, start) < min(end, start + values[i].type.bytes):
                    text += f", over input_{position}, which is read ahead"
        return text

    def _pointer(self, name: str, index: int, value: Value, read_only: bool) -> Local:
        c_type = ("const " if read_only else "") + value.type.dtype.c_name
        return _local_pointer(name, c_type, self._plan.value_offset(index), c_text.shape_text(value.type.shape))

    def _rows(self, name: str, index: int, value: Value, constant: str = "") -> Local:
        """A whole tensor, in the arena or the constant array `constant`, as rows one behind the other."""
        base = f"(uint8_t *)(uintptr_t){constant}" if constant else f"arena + {self._plan.value_offset(index)}"
        initializer = f"{{.base = {base}, .row_bytes = {value.type.row_bytes}}}"
        return Local(f"const thimble_rows {name}", initializer, c_text.shape_text(value.type.shape))

    def _scratch_pointer(self, step: int, scratch: Scratch | Accumulator, name: str, offset: int) -> Local:
        place = self._plan.scratch_offset(step) + offset
        return _local_pointer(name, scratch.dtype, place, f"{scratch.bytes} bytes")

    def _constant(self, key: object, name: str, data: Array, comment: str) -> str:
        if key not in self.constants:
            self.constants[key] = ConstantArray(
                name,
                c_text.c_type(data),
                data.size,
                tuple(c_text.array_lines(data)),
                f"{c_text.shape_text(data.shape)} {comment}",
                data.nbytes,
            )
        return self.constants[key].name


def _local_pointer(name: str, c_type: str, offset: int, comment: str) -> Local:
    cast = _cast(c_type)
    return Local(f"{c_type} *{name}", f"{cast}(arena + {offset})" if cast else f"arena + {offset}", comment)


def _cast(c_type: str) -> str:
    """How a pointer of this type is made from `arena + offset`: by way of void *, since offsets are aligned."""
    if c_type in ("uint8_t", "const uint8_t"):
        return ""
    const = "const " if c_type.startswith("const ") else ""
    return f"({c_type} *)({const}void *)"


def _constant_label(site: Site, index: int) -> str:
    """What a constant input is called in C: by the field's own terms where the operator has weights."""
    weighted = ("conv_2d", "depthwise_conv_2d", "transpose_conv", "fully_connected")
    names = {1: "weights", 2: "bias"} if site.op.name in weighted else {}
    return names.get(index, f"input_{index}")
