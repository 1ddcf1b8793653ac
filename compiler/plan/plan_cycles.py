"""What a plan is predicted to take, step by step."""

from __future__ import annotations

from collections import Counter

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.cycles import CycleModel
from thimble.compiler.plan.guards import at_worst
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.plan import Plan


def predicted_cycles(graph: Graph, plan: Plan, rounding: Rounding, model: CycleModel) -> int:
    """Cycles of an inference by the model that kernels and schedules are compared by; at worst, where flags decide."""
    works = [NodeWork.of(site, rounding) for site in graph.sites]
    calls = Counter(plan.stages[step.stage].node for step in plan.steps)
    amounts = []
    for step in plan.steps:
        stage = plan.stages[step.stage]
        if stage.node is None or any(map(plan.is_view, graph.nodes[stage.node].outputs)):
            continue
        work = works[stage.node]
        cycles = model.cycles(work)
        if calls[stage.node] > 1:
            columns = graph.sites[stage.node].output().type.columns
            share = (stage.columns[1] - stage.columns[0]) / max(columns, 1)
            cycles = model.step + share * model.cycles(work, step.end - step.first)
        amounts.append((step.stage, cycles))
    return round(at_worst(plan.guards, amounts))
