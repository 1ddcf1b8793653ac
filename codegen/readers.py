"""Inputs that the application hands over row by row: the stages that read them, and the callback that they call."""

from __future__ import annotations

from dataclasses import dataclass

from thimble.codegen.lowered import Reader
from thimble.codegen.places import Places
from thimble.codegen.steps import StageSteps
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Span
from thimble.compiler.plan.plan import Plan


@dataclass(frozen=True, slots=True)
class Callback:
    """The function that the application defines to hand over rows of an input.

    `by_columns` tells whether it is asked for parts of rows too, `in_order` whether for each row once, from the top.
    """

    function: str
    by_columns: bool
    in_order: bool


def callbacks(graph: Graph, plan: Plan, prefix: str) -> dict[int, Callback]:
    """The callback of each input that is read by rows, by its position among the graph's inputs."""
    columns: dict[int, list[Span]] = {}
    for stage in plan.stages:
        if stage.node is None:
            position = graph.inputs.index(plan.tiles[stage.outputs[0]].value)
            columns.setdefault(position, []).append(stage.columns)
    made = {}
    for position, spans in sorted(columns.items()):
        by_columns = any(span != (0, graph.values[graph.inputs[position]].type.columns) for span in spans)
        function = _callback_name(prefix, position, len(graph.inputs), by_columns)
        made[position] = Callback(function, by_columns, in_order=len(spans) == 1)
    return made


def _callback_name(prefix: str, position: int, inputs: int, by_columns: bool) -> str:
    verb = "read_patch" if by_columns else "read_rows"
    return f"{prefix}_{verb}" if inputs == 1 else f"{prefix}_{verb}_{position}"


def lower_reader(
    graph: Graph, plan: Plan, places: Places, prefix: str, index: int, function: str, steps: StageSteps
) -> Reader:
    """The C function of a stage that reads rows of an input: one call of the callback for rows that lie together."""
    stage = plan.stages[index]
    tile = stage.outputs[0]
    value = graph.values[plan.tiles[tile].value]
    position = graph.inputs.index(plan.tiles[tile].value)
    callback = callbacks(graph, plan, prefix)[position]
    rows = places.part(tile, stage.rows, stage.columns)
    together = rows.packed
    row, count = (steps.first, _count(steps)) if together else (steps.row, "1")
    arguments = ["ctx", _shifted(row, stage.rows[0]), count]
    if callback.by_columns:
        arguments += [str(stage.columns[0]), str(stage.columns[1] - stage.columns[0])]
    arguments.append(f"({value.type.dtype.c_name} *)(void *)({rows.row(row)})")
    part = f", columns {stage.columns[0]} to {stage.columns[1] - 1}" if callback.by_columns else ""
    return Reader(
        stage=index,
        function=function,
        comment=f"Rows of input {position}, {value.type}{part}: a step reads {steps.rows_a_call} of {steps.rows}.",
        streamed=steps.streamed,
        spans=steps.declarations,
        loop="" if together else steps.loop,
        call=f"{callback.function}({', '.join(arguments)})",
    )


def _count(steps: StageSteps) -> str:
    """The number of rows of a call, as a C expression."""
    return "end - first" if len(steps.declarations) == 2 else str(steps.rows_a_call)


def _shifted(row: str, by: int) -> str:
    return f"{row} + {by}" if by else row
