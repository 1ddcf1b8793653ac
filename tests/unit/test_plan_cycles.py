"""What a plan is predicted to take where flags decide."""

from __future__ import annotations

import numpy as np

from tests.ops.cases_movement import assign_twice
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import make_plan
from thimble.compiler.importers.tflite import import_tflite
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.cycles import cycle_model
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.plan_cycles import cycles_at_worst


def test_nodes_without_outputs_are_priced_as_well() -> None:
    graph = import_tflite(assign_twice(np.random.default_rng(0)), "states")
    plan, model = make_plan(graph, CompileOptions()), cycle_model()
    works = {
        stage.node: model.cycles(NodeWork.of(graph.sites[stage.node], Rounding.TFLM))
        for stage in plan.stages
        if stage.node is not None and not any(map(plan.is_view, graph.nodes[stage.node].outputs))
    }
    assert any(not graph.nodes[node].outputs for node in works)
    assert cycles_at_worst(graph, plan, Rounding.TFLM, model) == round(sum(works.values()))
