"""The generated C99 project: (Graph, Plan, Target) to file names and texts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import jinja2
import numpy as np

from thimble.codegen import c_text
from thimble.codegen.layers import ConstantArray, Lowered, lower_graph
from thimble.compiler.ir.graph import Graph, Value
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import ARENA_ALIGNMENT
from thimble.runtime_c import kernel_files
from thimble.targets.build import board_files, make_flags
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


@dataclass(frozen=True, slots=True)
class Project:
    """A generated project: `files` by relative path; `weights_bytes` is the size of all constant arrays."""

    name: str
    files: Mapping[str, str]
    weights_bytes: int
    kernels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Tensor:
    """An input or output as the header describes it."""

    c_type: str
    type_text: str
    comment: str
    shape: tuple[int, ...]
    elements: int
    bytes: int
    offset: int
    scale: str
    zero_point: int


@dataclass(frozen=True, slots=True)
class _State:
    """A state as reset() restores it: filled with one byte, or copied from a constant array."""

    offset: int
    bytes: int
    fill: int | None
    array: str
    comment: str


def generate_sources(graph: Graph, plan: Plan, name: str, rounding: Rounding = Rounding.TFLM) -> Project:
    """The model and its kernels, without anything of a chip: what compiles on any machine. `name` is a C identifier."""
    lowered = lower_graph(graph, plan, name, rounding)
    states, state_arrays = _states(graph, plan, name)
    constants = (*lowered.constants, *state_arrays)
    weights_bytes = sum(c.bytes for c in constants)
    context = _context(graph, plan, name, lowered, states, constants)
    files = {
        f"{name}.h": _render("model.h.j2", context),
        f"{name}.c": _render("model.c.j2", context),
        "host_main.c": _render("host_main.c.j2", context),
        **kernel_files(lowered.plain_kernels, lowered.generated),
    }
    if constants:
        files[f"{name}_weights.h"] = _render("weights.h.j2", context)
        files[f"{name}_weights.c"] = _render("weights.c.j2", context)
    return Project(name, files, weights_bytes, lowered.kernels)


def generate_project(
    graph: Graph, plan: Plan, target: Target, name: str, rounding: Rounding = Rounding.TFLM
) -> Project:
    """The whole firmware project for a chip: sources, main.c, start-up code, linker scripts, build files."""
    project = generate_sources(graph, plan, name, rounding)
    board = board_files(target)
    sources = sorted(f for f in project.files if f.endswith(".c") and f != "host_main.c")
    flags = make_flags(target)
    context = {
        "name": name,
        "NAME": name.upper(),
        "target": target,
        "flags": flags,
        "host_cflags": HOST_CFLAGS,
        "sources": sources,
        "board_sources": sorted(f for f in board if f.endswith((".c", ".S"))),
        "inputs": [_tensor(graph.values[i], plan.value_offset(i)) for i in graph.inputs],
        "outputs": [_tensor(graph.values[i], plan.value_offset(i)) for i in graph.outputs],
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
    return Project(name, dict(sorted(files.items())), project.weights_bytes, project.kernels)


def render_trace_main(graph: Graph, plan: Plan, name: str, rounding: Rounding) -> str:
    """A host program that runs the layers one by one and writes every layer's outputs: it finds the first that differs.

    It includes the model's C file, so that it can call the layers, which are static.
    """
    functions = {layer.step: layer.function for layer in lower_graph(graph, plan, name, rounding).layers}
    steps = [
        (functions.get(step), [(plan.value_offset(i), graph.values[i].type.bytes) for i in node.outputs])
        for step, node in enumerate(graph.nodes)
    ]
    tensors = [_tensor(graph.values[i], plan.value_offset(i)) for i in graph.inputs]
    return _render("trace_main.c.j2", {"name": name, "NAME": name.upper(), "inputs": tensors, "steps": steps})


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
        "kernels": lowered.kernels,
        "constants": constants,
        "weights_bytes": sum(c.bytes for c in constants),
        "arena_bytes": plan.arena_bytes,
        "arena_alignment": ARENA_ALIGNMENT,
        "states": states,
        "stateful": bool(states),
        "inputs": [_tensor(graph.values[i], plan.value_offset(i)) for i in graph.inputs],
        "outputs": [_tensor(graph.values[i], plan.value_offset(i)) for i in graph.outputs],
    }


def _tensor(value: Value, offset: int) -> _Tensor:
    quant = value.type.quant
    per_tensor = quant is not None and quant.per_tensor
    return _Tensor(
        value.type.dtype.c_name,
        str(value.type),
        c_text.comment_text(value.name),
        value.type.shape,
        value.type.elements,
        value.type.bytes,
        offset,
        c_text.real(quant.scale) if quant is not None and per_tensor else "",
        quant.zero_point if quant is not None and per_tensor else 0,
    )


def _states(graph: Graph, plan: Plan, name: str) -> tuple[tuple[_State, ...], tuple[ConstantArray, ...]]:
    states, arrays = [], []
    for number, index in enumerate(graph.states):
        value = graph.values[index]
        raw = np.frombuffer(value.constant.tobytes(), np.uint8)
        comment = f"state {number}: {value.type}, {c_text.comment_text(value.name)}"
        fill = int(raw[0]) if raw.size and (raw == raw[0]).all() else None
        array = f"{name}_state_{number}"
        states.append(_State(plan.value_offset(index), value.type.bytes, fill, array, comment))
        if fill is None:
            data = value.constant
            lines = tuple(c_text.array_lines(data))
            arrays.append(ConstantArray(array, c_text.c_type(data), data.size, lines, comment, data.nbytes))
    return tuple(states), tuple(arrays)


_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
)


def _render(template: str, context: Mapping[str, object]) -> str:
    text = _ENVIRONMENT.get_template(template).render(**context)
    return text.rstrip("\n") + "\n"
