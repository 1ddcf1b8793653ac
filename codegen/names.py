"""What the functions of stages are called: by the node or input that they belong to, and by their part of it."""

from __future__ import annotations

from collections.abc import Sequence

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Span
from thimble.compiler.plan.plan import Plan

Area = tuple[Span, Span]


def stage_names(graph: Graph, plan: Plan) -> list[str]:
    """The C function of each stage, unique in the model.

    A node's functions all begin with `layer_<node>_`, such as layer_03_conv_2d, layer_03_conv_2d_strip_1 or
    layer_03_conv_2d_again; those that read an input by rows with `read_input_<input>`.
    """
    names = [""] * len(plan.stages)
    owners: dict[str, list[int]] = {}
    for index, stage in enumerate(plan.stages):
        if stage.node is None:
            owner = f"read_input_{graph.inputs.index(plan.tiles[stage.outputs[0]].value)}"
        else:
            owner = f"layer_{stage.node:02d}_{graph.nodes[stage.node].op.name}"
        owners.setdefault(owner, []).append(index)
    for owner, stages in owners.items():
        areas = [(plan.stages[index].rows, plan.stages[index].columns) for index in stages]
        for index, suffix in zip(stages, _suffixes(areas), strict=True):
            names[index] = owner + suffix
    return names


def _suffixes(areas: Sequence[Area]) -> list[str]:
    """What tells stages of one node apart: a number for each of several areas, `again` for one that comes back."""
    different = list(dict.fromkeys(areas))
    kind = "strip" if len({rows for rows, _ in areas}) == 1 else "patch"
    suffixes: list[str] = []
    for position, area in enumerate(areas):
        suffix = f"_{kind}_{different.index(area)}" if len(different) > 1 else ""
        before = areas[:position].count(area)
        suffixes.append(suffix + ("_again" if before else "") + (f"_{before}" if before > 1 else ""))
    return suffixes
