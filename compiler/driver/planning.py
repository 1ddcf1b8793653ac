"""From a graph and the user's options to a plan that was checked."""

from __future__ import annotations

from thimble.compiler.driver.options import CompileOptions, InputFeed, Schedule
from thimble.compiler.ir.errors import UsageError, quoted
from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.checker import check_plan
from thimble.compiler.plan.cuts import Cuts
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_layers
from thimble.compiler.plan.row_graph import row_graph
from thimble.compiler.plan.row_plan import plan_runs
from thimble.compiler.plan.runs import Recipe


def make_plan(graph: Graph, options: CompileOptions) -> Plan:
    """The plan of a graph, checked by the independent checker. Raises UsageError where an option does not suit it."""
    check_input_feed(graph, options)
    plan = _plan(graph, options)
    check_plan(graph, plan)
    return plan


def check_input_feed(graph: Graph, options: CompileOptions) -> None:
    """Raise UsageError where inputs are to be read by rows and none has more than one."""
    if options.input is InputFeed.RESIDENT:
        return
    inputs = [graph.values[i] for i in graph.inputs]
    if all(value.type.rows < 2 for value in inputs):
        listed = ", ".join(f"{quoted(v.name)} is {v.type}" for v in inputs[:4]) or "there is none"
        raise UsageError(
            f"--input rows needs an input of more than one row (all dimensions but the last two): {listed}."
        )


def _plan(graph: Graph, options: CompileOptions) -> Plan:
    by_rows = options.input is InputFeed.ROWS
    if not by_rows and options.schedule in (Schedule.LAYER, Schedule.AUTO):
        return plan_layers(graph, options.rounding)
    rows = row_graph(graph, options.rounding, by_rows)
    cuts = Cuts(rows, [Recipe(0), Recipe(1)])
    choice = cuts.cheapest(cuts.least_peak())
    assert choice is not None
    return plan_runs(rows, choice.runs)
