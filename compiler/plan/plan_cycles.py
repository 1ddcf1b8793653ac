"""What a plan is predicted to take at worst where flags decide which of its nodes run."""

from __future__ import annotations

from thimble.compiler.ir.graph import Graph
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.cycles import CycleModel
from thimble.compiler.plan.guards import at_worst
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.plan import Plan


def cycles_at_worst(graph: Graph, plan: Plan, rounding: Rounding, model: CycleModel) -> int:
    """Cycles of an inference of a layer-by-layer plan, with the dearer branch of each flag that guards its stages."""
    amounts = []
    for step in plan.steps:
        node = plan.stages[step.stage].node
        if node is not None and not any(map(plan.is_view, graph.nodes[node].outputs)):
            amounts.append((step.stage, model.cycles(NodeWork.of(graph.sites[node], rounding))))
    return round(at_worst(plan.guards, amounts))
