"""The generated C99 project: (Graph, Plan, Target) to file names and texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from thimble.codegen import c_text
from thimble.codegen.kernel_tools.rendering import renderer
from thimble.codegen.layers import lower_graph
from thimble.codegen.lowered import ConstantArray, Lowered
from thimble.codegen.places import block_name, block_pointer
from thimble.codegen.ram_places import ALL_IN_FLASH, RamPlaces
from thimble.codegen.readers import Callback, callbacks
from thimble.codegen.schedule_text import schedule_text
from thimble.codegen.trace import trace_steps
from thimble.compiler.ir.graph import Graph, Value
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import ARENA_ALIGNMENT
from thimble.runtime_c import kernel_files
from thimble.targets.build import board_files, make_flags
from thimble.targets.elf import FAST_SECTION
from thimble.targets.model import Target

HOST_CFLAGS = (
    "-std=c99",
    "-O2",
    "-g",
    "-Wall",
    "-Wextra",
    "-Wconversion",
    "-Wshadow",
    "-Werror",
    "-ffp-contract=off",
    "-fsanitize=address,undefined",
    "-fno-sanitize-recover=all",
)


FOR_SIZE = (
    "thimble_softmax_",
    "thimble_average_pool_2d_s",
    "thimble_average_pool_2d_accumulate_s",
    "thimble_average_pool_2d_dsp",
    "thimble_planes_dsp.c",
    "thimble_vector_dsp.c",
)
"""How the names of C files begin that few cycles are spent in: they are compiled for size, as start-up and main are."""


@dataclass(frozen=True, slots=True)
class Project:
    """A generated project: `files` by relative path; `weights_bytes` is the size of all constant arrays.

    `kernels` are the names of the kernels that each node's stages call, `sources` the C files that hold them; nodes
    that are views have none.
    """

    name: str
    files: Mapping[str, str]
    weights_bytes: int
    kernels: Mapping[int, tuple[str, ...]]
    sources: Mapping[int, frozenset[str]]
    constants: tuple[ConstantArray, ...]


@dataclass(frozen=True, slots=True)
class _Tensor:
    """Input or output `index` as the header describes it.

    `address` is its place in the arena as a C expression, empty for an input that is read by rows through `callback`;
    `file_offset` its place in a sample of a file.
    """

    index: int
    c_type: str
    type_text: str
    comment: str
    shape: tuple[int, ...]
    elements: int
    bytes: int
    address: str
    file_offset: int
    scale: str
    zero_point: int
    rows: int
    columns: int
    column_elements: int
    column_bytes: int
    callback: Callback | None


@dataclass(frozen=True, slots=True)
class _State:
    """A state as reset() restores it: filled with one byte, or copied from a constant array."""

    address: str
    bytes: int
    fill: int | None
    array: str
    comment: str


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of the arena: its member of the struct of blocks, the array that main.c keeps for it.

    `apart` tells whether it lies in another RAM than all other variables.
    """

    name: str
    array: str
    bytes_macro: str
    start: int
    bytes: int
    apart: bool


def generate_sources(
    graph: Graph, plan: Plan, name: str, rounding: Rounding = Rounding.TFLM, places: RamPlaces = ALL_IN_FLASH
) -> Project:
    """The model and its kernels, without anything of a chip: what compiles on any machine. `name` is a C identifier.

    The constants of `places` are marked, so that a chip's start-up code can copy them to RAM.
    """
    lowered = lower_graph(graph, plan, name, rounding)
    states, state_arrays = _states(graph, plan, name)
    constants = places.mark((*lowered.constants, *state_arrays))
    weights_bytes = sum(c.bytes for c in constants)
    context = _context(graph, plan, name, lowered, states, constants)
    files = {
        f"{name}.h": _render("model.h.j2", context),
        f"{name}.c": _render("model.c.j2", context),
        "host_main.c": _render("host_main.c.j2", context),
        **kernel_files(lowered.plain_kernels, _row_headers(lowered), lowered.generated),
    }
    if constants:
        files[f"{name}_weights.h"] = _render("weights.h.j2", context)
        files[f"{name}_weights.c"] = _render("weights.c.j2", context)
    return Project(name, files, weights_bytes, lowered.kernels_of_nodes(), lowered.sources, constants)


def generate_project(
    graph: Graph,
    plan: Plan,
    target: Target,
    name: str,
    rounding: Rounding = Rounding.TFLM,
    places: RamPlaces = ALL_IN_FLASH,
) -> Project:
    """The whole firmware project for a chip: sources, main.c, start-up code, linker scripts, build files.

    Start-up code copies what `places` says to RAM.
    """
    project = generate_sources(graph, plan, name, rounding, places)
    board = board_files(target, fast_sources=sorted(places.sources))
    sources = sorted(f for f in project.files if f.endswith(".c") and f != "host_main.c")
    flags = make_flags(target)
    context = {
        "name": name,
        "NAME": name.upper(),
        "target": target,
        "flags": flags,
        "host_cflags": HOST_CFLAGS,
        "sources": sources,
        "small_sources": [f for f in sources if f.startswith(FOR_SIZE)],
        "board_sources": sorted(f for f in board if f.endswith((".c", ".S"))),
        **_arena(plan, name, target.ram.name),
        **_interface(graph, plan, name),
        "input_bytes": sum(graph.values[i].type.bytes for i in graph.inputs),
        "output_bytes": sum(graph.values[i].type.bytes for i in graph.outputs),
    }
    files = {
        **project.files,
        **board,
        "main.c": _render("main.c.j2", context),
        "Makefile": _render("Makefile.j2", context),
        "CMakeLists.txt": _render("CMakeLists.txt.j2", context),
    }
    return replace(project, files=dict(sorted(files.items())))


def render_trace_main(graph: Graph, plan: Plan, name: str, rounding: Rounding) -> str:
    """A host program that runs the layers one by one and writes every layer's outputs: it finds the first that differs.

    It includes the model's C file, so that it can call the layers, which are static.
    """
    lowered = lower_graph(graph, plan, name, rounding)
    traced = trace_steps(graph, plan, lowered)
    copies = [copy for step in traced.steps for copy in step.copies]
    functions = (*lowered.readers, *lowered.layers)
    context = {
        "name": name,
        "NAME": name.upper(),
        "readers": lowered.readers,
        "functions": functions,
        "traced": traced,
        "copies": copies,
        **_arena(plan, name),
        **_interface(graph, plan, name),
    }
    return _render("trace_main.c.j2", context)


def _context(
    graph: Graph,
    plan: Plan,
    name: str,
    lowered: Lowered,
    states: tuple[_State, ...],
    constants: tuple[ConstantArray, ...],
) -> dict[str, object]:
    return {
        "name": name,
        "NAME": name.upper(),
        "macs": graph.macs,
        "layers": lowered.layers,
        "readers": lowered.readers,
        "tables": lowered.tables,
        "schedule": lowered.schedule,
        "streamed": len(lowered.schedule.readers) + len(lowered.schedule.layers),
        "schedule_text": schedule_text(plan, lowered),
        "usage": _usage(graph, plan, name),
        "headers": sorted({f"thimble_{kernel}.h" for kernel in lowered.kernels} | set(_row_headers(lowered))),
        "constants": constants,
        "weights_bytes": sum(c.bytes for c in constants),
        "arena_bytes": plan.arena_bytes,
        "arena_alignment": ARENA_ALIGNMENT,
        "states": states,
        "stateful": bool(states),
        "fast_section": FAST_SECTION,
        **_arena(plan, name),
        **_interface(graph, plan, name),
    }


def _row_headers(lowered: Lowered) -> tuple[str, ...]:
    """The header that says how tables of rows are read, where there are any."""
    return ("thimble_rows.h",) if lowered.tables else ()


def _usage(graph: Graph, plan: Plan, name: str) -> str:
    """What an application does for an inference, in words."""
    invoke = f"{name}_{'step' if graph.states else 'invoke'}"
    arena = _arena(plan, name)["arena"]
    if callbacks(graph, plan, name):
        return f"define the input's function below, call {invoke}({arena}, ctx), read {name}_output_0({arena})"
    return f"fill {name}_input_0({arena}), call {invoke}({arena}), read {name}_output_0({arena})"


def _arena(plan: Plan, name: str, main_memory: str = "") -> dict[str, object]:
    """The blocks of the arena, the types of pointers to it outside and inside of the model, and the one in main.c."""
    several, prefix = len(plan.blocks) > 1, f"{name.upper()}_ARENA"
    blocks = [
        _Block(
            name=block_name(block),
            array=f"arena_{block_name(block)}" if several else "arena",
            bytes_macro=f"{prefix}_{block_name(block).upper()}_BYTES" if several else f"{prefix}_BYTES",
            start=block.start,
            bytes=block.bytes,
            apart=block.memory not in ("", main_memory),
        )
        for block in plan.blocks or (plan.block_at(0),)
    ]
    struct = f"const {name}_arena *"
    return {
        "blocks": blocks,
        "handle": struct if several else "void *",
        "bytes_handle": struct if several else "uint8_t *",
        "arena": "&arena" if several else "arena",
    }


def _interface(graph: Graph, plan: Plan, name: str) -> dict[str, object]:
    """Inputs and outputs; `pulls` tells whether any input is read by rows."""
    asked = callbacks(graph, plan, name)
    inputs, at = [], 0
    for index, value in enumerate(graph.inputs):
        address = "" if index in asked else _address(plan, value)
        inputs.append(_tensor(graph.values[value], index, address, at, asked.get(index)))
        at += graph.values[value].type.bytes
    outputs = [_tensor(graph.values[v], i, _address(plan, v)) for i, v in enumerate(graph.outputs)]
    return {"inputs": inputs, "outputs": outputs, "pulls": bool(asked), "resident": len(asked) < len(inputs)}


def _address(plan: Plan, value: int) -> str:
    """Where a value lies, from the `arena` that the application hands over: untyped, or a struct of blocks."""
    offset = plan.value_offset(value)
    return block_pointer(plan, offset, "(uint8_t *)arena").address(offset)


def _tensor(value: Value, index: int, address: str, file_offset: int = 0, callback: Callback | None = None) -> _Tensor:
    quant, type_ = value.type.quant, value.type
    per_tensor = quant is not None and quant.per_tensor
    column_bytes = type_.row_bytes // max(type_.columns, 1)
    return _Tensor(
        index=index,
        c_type=type_.dtype.c_name,
        type_text=str(type_),
        comment=c_text.comment_text(value.name),
        shape=type_.shape,
        elements=type_.elements,
        bytes=type_.bytes,
        address=address,
        file_offset=file_offset,
        scale=c_text.real(quant.scale) if quant is not None and per_tensor else "",
        zero_point=quant.zero_point if quant is not None and per_tensor else 0,
        rows=type_.rows,
        columns=type_.columns,
        column_elements=column_bytes // type_.dtype.bytes,
        column_bytes=column_bytes,
        callback=callback,
    )


def _states(graph: Graph, plan: Plan, name: str) -> tuple[tuple[_State, ...], tuple[ConstantArray, ...]]:
    states, arrays = [], []
    for number, index in enumerate(graph.states):
        value = graph.values[index]
        raw = np.frombuffer(value.constant.tobytes(), np.uint8)
        comment = f"state {number}: {value.type}, {c_text.comment_text(value.name)}"
        fill = int(raw[0]) if raw.size and (raw == raw[0]).all() else None
        array = f"{name}_state_{number}"
        states.append(_State(_address(plan, index), value.type.bytes, fill, array, comment))
        if fill is None:
            data = value.constant
            lines = tuple(c_text.array_lines(data))
            arrays.append(ConstantArray(array, c_text.c_type(data), data.size, lines, comment, data.nbytes))
    return tuple(states), tuple(arrays)


_TEMPLATE = renderer(Path(__file__).parent / "templates")


def _render(template: str, context: Mapping[str, object]) -> str:
    text = _TEMPLATE(template, **context)
    return text.rstrip("\n") + "\n"
