"""Each stage of a plan as the templates need it: parameters, pointers, rows, kernel calls and constant arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from thimble.codegen import c_text
from thimble.codegen.lowered import Call, ConstantArray, Layer, Local, Lowered
from thimble.codegen.names import stage_names
from thimble.codegen.parts import Part, part_of_stage, row_form
from thimble.codegen.places import Places, Rows, block_pointer
from thimble.codegen.readers import lower_reader
from thimble.codegen.schedule import make_schedule
from thimble.codegen.steps import StageSteps, row_expression, steps_of_stages
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
from thimble.compiler.plan.plan import BufferKind, Plan


def lower_graph(graph: Graph, plan: Plan, prefix: str, rounding: Rounding) -> Lowered:
    """Lower every stage but those of views; `prefix` begins the name of each constant array, which is external."""
    places, constants = Places(graph, plan), _Constants()
    steps, names = steps_of_stages(plan), stage_names(graph, plan)
    layers, readers, sources = [], [], _Sources()
    for index, stage in enumerate(plan.stages):
        if stage.node is None:
            readers.append(lower_reader(graph, plan, places, prefix, index, names[index], steps[index]))
        elif not any(map(plan.is_view, graph.nodes[stage.node].outputs)):
            part = part_of_stage(graph, plan, places, stage)
            lowering = _StageLowering(graph, plan, index, part, steps[index], constants, prefix, rounding)
            layers.append(lowering.layer(names[index]))
            sources.add(stage.node, lowering.calls)
    kernels = sorted({call.kernel for layer in layers for call in layer.calls})
    return Lowered(
        tuple(layers),
        tuple(readers),
        constants.arrays,
        places.tables,
        make_schedule(plan, (*readers, *layers)),
        tuple(kernels),
        tuple(sorted(sources.plain_kernels)),
        sources.generated,
        sources.of_nodes,
    )


class _Sources:
    """Where the kernels of all calls come from."""

    def __init__(self) -> None:
        self.plain_kernels: set[str] = set()
        self.generated: dict[str, str] = {}
        self.of_nodes: dict[int, frozenset[str]] = {}

    def add(self, node: int, calls: Sequence[KernelCall]) -> None:
        """Take in what the calls of one stage of a node need."""
        for call in calls:
            plain = call.source.needs if call.source else (call.kernel,)
            generated = dict(call.source.files if call.source else ())
            self.plain_kernels.update(plain)
            self.generated.update(generated)
            files = {f"thimble_{kernel}.c" for kernel in plain} | {name for name in generated if name.endswith(".c")}
            self.of_nodes[node] = self.of_nodes.get(node, frozenset()) | files


class _Constants:
    """The constant arrays of a model, each once."""

    def __init__(self) -> None:
        self._arrays: dict[object, ConstantArray] = {}
        self._reads: Counter[object] = Counter()

    @property
    def arrays(self) -> tuple[ConstantArray, ...]:
        """All arrays in order of first use."""
        return tuple(replace(array, reads=self._reads[key]) for key, array in self._arrays.items())

    def name(self, key: object, name: str, data: Array, comment: str, site: Site, node: int) -> str:
        """The name of the array that `key` stands for, which is made where it is new, and now read by `site` too."""
        self._reads[key] += _bytes_read(site, data)
        if key not in self._arrays:
            lines = tuple(c_text.array_lines(data))
            text = f"{c_text.shape_text(data.shape)} {comment}"
            made = ConstantArray(name, c_text.c_type(data), data.size, lines, text, data.nbytes, node=node)
            self._arrays[key] = made
        return self._arrays[key].name


class _StageLowering:
    """Makes the C function of one stage that computes."""

    def __init__(
        self,
        graph: Graph,
        plan: Plan,
        index: int,
        part: Part,
        steps: StageSteps,
        constants: _Constants,
        prefix: str,
        rounding: Rounding,
    ) -> None:
        self._graph, self._plan, self._index = graph, plan, index
        self._part, self._site = part, part.site
        self._node = _node_of(plan, index)
        self._constants, self._prefix, self._rounding = constants, prefix, rounding
        self._memories = {b.kind: b for b in plan.buffers if b.stage == index}
        self._whole = part.packed and not steps.streamed and self._has_memory_for_whole()
        self._steps = steps if steps.streamed else _one_call(part.site, self._whole)
        self._row_by_row = False
        self._locals: dict[str, Local] = {}
        self._row_locals: dict[str, Local] = {}
        self._used: dict[BufferKind, int] = {}
        self.calls: tuple[KernelCall, ...] = ()

    def layer(self, function: str) -> Layer:
        """The function: whole tensors by the operator's `lower`, rows by its `lower_rows`."""
        site = self._site
        calls = site.lower(self._rounding) if self._whole else site.lower_rows(self._rounding)
        self.calls = calls
        self._row_by_row = not self._whole and any(map(_is_for_one_row, calls))
        name = function.replace(f"_{site.op.name}", "", 1)  # layer_03, layer_03_strip_1
        lowered = tuple(self._call(call, name, f"_{i}" if len(calls) > 1 else "") for i, call in enumerate(calls))
        return Layer(
            stage=self._index,
            node=self._node,
            function=function,
            title=f"{site.op.name}: {_types(site)}",
            extent=self._extent(),
            source=c_text.comment_text(site.source),
            streamed=self._steps.streamed,
            spans=() if self._row_by_row and not self._steps.loop else self._steps.declarations,
            locals=tuple(self._locals.values()),
            loop=self._steps.loop if self._row_by_row else "",
            row_locals=tuple(self._row_locals.values()),
            calls=lowered,
        )

    def _has_memory_for_whole(self) -> bool:
        """Whether the plan gave the stage the memory that the kernels of a whole layer need, not that of a row form."""
        if BufferKind.ACCUMULATOR in self._memories:
            return False
        scratch = self._memories.get(BufferKind.SCRATCH)
        needed = max((call.scratch_bytes for call in self._site.lower(self._rounding)), default=0)
        return needed <= (scratch.bytes if scratch else 0)

    def _extent(self) -> str:
        """What a comment says of the part of the output that the function makes, and in what portions."""
        stage, text = self._plan.stages[self._index], ""
        if self._part.restricted:
            rows, columns = stage.rows, stage.columns
            text = f"Rows {rows[0]} to {rows[1] - 1}, columns {columns[0]} to {columns[1] - 1} of the output. "
        if self._steps.streamed:
            count = self._steps.rows_a_call
            text += f"A step takes {count} of {self._steps.rows} rows."
        return text.strip()

    def _call(self, call: KernelCall, layer: str, suffix: str) -> Call:
        self._used = {}
        arguments = [self._argument(argument, layer, suffix) for argument in call.arguments]
        fields = tuple((name, c_text.literal(value)) for name, value in call.params)
        params = f"params{suffix}" if fields else ""
        indent = 8 if self._row_by_row and self._steps.loop else 4
        arguments = [f"&{params}", *arguments] if params else arguments
        return Call(call.kernel, params, fields, c_text.call(f"thimble_{call.kernel}", arguments, indent))

    def _argument(self, argument: Argument, layer: str, suffix: str) -> str:
        if isinstance(argument, FirstRow):
            return self._steps.row if self._row_by_row else self._steps.first
        if isinstance(argument, EndRow):
            return f"{self._steps.row} + 1" if self._row_by_row else self._steps.end
        if isinstance(argument, Table):
            content = (argument.data.dtype.name, argument.data.tobytes())  # equal tables stand in flash once
            name = f"{self._prefix}_{layer}_{argument.name}{suffix}"
            return self._constants.name(content, name, argument.data, argument.name, self._site, self._node)
        if isinstance(argument, Scratch):
            return self._memory(argument, BufferKind.SCRATCH)
        if isinstance(argument, Accumulator):
            return self._memory(argument, BufferKind.ACCUMULATOR)
        if isinstance(argument, Input | InputRows):
            return self._input(argument, layer)
        return self._output(argument)

    def _memory(self, argument: Scratch | Accumulator, kind: BufferKind) -> str:
        """A pointer to scratch memory or an accumulator; several in one call lie one behind the other."""
        offset = self._used.get(kind, 0)
        self._used[kind] = offset + -(-argument.bytes // 8) * 8
        name = f"{kind.value}_{offset}" if offset else kind.value
        place = self._memories[kind].offset + offset
        address = block_pointer(self._plan, place).address(place)
        self._locals[name] = _pointer(name, argument.dtype, address, f"{argument.bytes} bytes")
        return name

    def _input(self, argument: Input | InputRows, layer: str) -> str:
        value = self._site.input(argument.index)
        if value.role is Role.CONSTANT:
            constant = self._constant_input(argument.index, value, layer)
            if isinstance(argument, Input):
                return constant
            rows = f"{{.base = (uint8_t *)(uintptr_t){constant}, .row_bytes = {value.type.row_bytes}}}"
            return self._rows(f"input_{argument.index}", value, rows)
        place = self._part.inputs[argument.index]
        assert place is not None
        name = f"input_{argument.index}"
        if isinstance(argument, InputRows):
            return self._rows(name, value, place.initializer())
        const = "" if argument.index in self._site.op.state_inputs else "const "
        needs = row_form(self._site).needs[argument.index] if self._row_by_row else None
        row = "" if needs is None else row_expression(needs, self._steps.row)
        return self._values(name, const + value.type.dtype.c_name, value, place, row)

    def _constant_input(self, index: int, value: Value, layer: str) -> str:
        tensor = self._graph.nodes[self._node].inputs[index]
        assert tensor is not None
        given = value.constant is self._graph.values[tensor].constant
        key: object = tensor if given else (value.constant.dtype.name, value.constant.tobytes())
        name = f"{self._prefix}_{layer}_{_constant_label(self._site, index)}"
        comment = f"tensor {c_text.comment_text(value.name)}"
        return self._constants.name(key, name, value.constant, comment, self._site, self._node)

    def _output(self, argument: Output | OutputRows) -> str:
        name, value = f"output_{argument.index}", self._site.output(argument.index)
        place = self._part.outputs[argument.index]
        if isinstance(argument, OutputRows):
            return self._rows(name, value, place.initializer(), self._shared(place))
        row = self._steps.row if self._row_by_row else ""
        return self._values(name, value.type.dtype.c_name, value, place, row, self._shared(place))

    def _rows(self, name: str, value: Value, initializer: str, comment: str = "") -> str:
        """A tensor by its rows, passed by address."""
        text = c_text.shape_text(value.type.shape) + comment
        self._locals[name] = Local(f"const thimble_rows {name}", initializer, text)
        return f"&{name}"

    def _values(self, name: str, c_type: str, value: Value, place: Rows, row: str, comment: str = "") -> str:
        """A pointer to a packed tensor, or to the row `row` of one."""
        shape = c_text.shape_text(value.type.shape)
        if row:
            name += "_row"
            self._row_locals[name] = _pointer(name, c_type, place.row(row), f"a row of {shape}")
        else:
            if not place.packed:
                raise ValueError(f"stage {self._index} needs {name} whole, but its rows lie apart")
            self._locals[name] = _pointer(name, c_type, place.block.address(place.offset), shape + comment)
        return name

    def _shared(self, output: Rows) -> str:
        """Which operands an output of a whole layer lies over, as a comment."""
        if not self._whole:
            return ""
        return "".join(
            f", over input_{position}, which is read ahead"
            for position, operand in enumerate(self._part.inputs)
            if operand is not None
            and max(output.offset, operand.offset) < min(output.offset + output.bytes, operand.offset + operand.bytes)
        )


def _node_of(plan: Plan, stage: int) -> int:
    """The node of a stage that computes."""
    node = plan.stages[stage].node
    if node is None:
        raise ValueError(f"stage {stage} reads the input")
    return node


def _one_call(site: Site, whole: bool) -> StageSteps:
    """The steps of a stage that runs in one call: whole layers count the rows of their output."""
    rows = (site.output().type.rows if site.outputs else 1) if whole else row_form(site).steps
    return StageSteps(rows, rows, 1)


def _bytes_read(site: Site, data: Array) -> int:
    """About how many bytes of a constant are read: of weights as many as multiply-accumulates, or more by as much as
    they became larger when a kernel packed them; of others an element for each output."""
    macs, outputs = site.op.macs(site), sum(value.type.elements for value in site.outputs)
    constants = [v.type for v in site.inputs if v is not None and v.role is Role.CONSTANT]
    weights = sum(type_.bytes for type_ in constants if len(type_.shape) > 1)
    holds_weights = 0 < weights <= data.nbytes
    return max(macs * data.nbytes // weights if holds_weights else 0, outputs * data.itemsize)


def _is_for_one_row(call: KernelCall) -> bool:
    """Whether a call of a row form works on one row, and must be made once for each."""
    by_rows = (InputRows, OutputRows, FirstRow, EndRow, Accumulator)
    return not any(isinstance(argument, by_rows) for argument in call.arguments)


def _types(site: Site) -> str:
    inputs = ", ".join(str(v.type) for v in site.inputs if v is not None)
    return f"{inputs} -> {', '.join(str(v.type) for v in site.outputs) or 'state'}"


def _pointer(name: str, c_type: str, address: str, comment: str) -> Local:
    """A pointer from an address in the arena, cast by way of void *, since offsets are aligned."""
    if c_type in ("uint8_t", "const uint8_t"):
        return Local(f"{c_type} *{name}", address, comment)
    const = "const " if c_type.startswith("const ") else ""
    return Local(f"{c_type} *{name}", f"({c_type} *)({const}void *)({address})", comment)


def _constant_label(site: Site, index: int) -> str:
    """What a constant input is called in C: by the field's own terms where the operator has weights."""
    weighted = ("conv_2d", "conv_2d_add", "depthwise_conv_2d", "transpose_conv", "fully_connected")
    names = {1: "weights", 2: "bias"} if site.op.name in weighted else {}
    return names.get(index, f"input_{index}")
