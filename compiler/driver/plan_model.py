"""The plan of an opened model with the kernels that the plan chose, and the time that it is predicted to take."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from thimble.compiler.driver.chip_costs import chip_costs
from thimble.compiler.driver.depthwise_choice import fused_if_faster
from thimble.compiler.driver.kernel_choice import kernel_choices
from thimble.compiler.driver.latency import milliseconds
from thimble.compiler.driver.open_model import Model
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import ShowProgress, least_plan, plan_with_kernels, silent
from thimble.compiler.ir.graph import Graph
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.plan_cycles import cycles_at_worst


def plan_model(
    model: Model, limit_bytes: int, show: ShowProgress = silent, most_ms: float | None = None
) -> tuple[Model, Plan]:
    """The model with its kernels, and its plan; `most_ms` it may be predicted to take, if not what the options say."""
    allowed = model.options.max_ms if most_ms is None else most_ms
    plan_within = partial(_plan_graph, model, replace(model.options, max_ms=allowed), show)
    make = partial(plan_within, limit_bytes=limit_bytes)
    made, plan = least_plan(model.plain, model.options, make, lambda made: made.predicted_cycles or 0)
    made, plan = fused_if_faster(model, plan_within, (made, plan), limit_bytes)
    if allowed is not None and predicted_ms(made) > allowed and made.plain is not model.plain:
        # Other forms of the graph may save bytes, and take too long.
        return min((made, plan), make(model.plain), key=lambda found: predicted_ms(found[0]))
    return made, plan


def _plan_graph(
    model: Model, options: CompileOptions, show: ShowProgress, plain: Graph, limit_bytes: int
) -> tuple[Model, Plan]:
    """The model with a graph that it can be left to execute, its kernels, and its plan by these options."""
    choices = kernel_choices(plain, model.target, options, model.settings)
    made = plan_with_kernels(plain, choices, options, limit_bytes, show, model.target)
    cycles = made.cycles
    if made.plan.guards:  # the planner counts all branches
        cycles = cycles_at_worst(made.graph, made.plan, options.rounding, chip_costs(model.target, options))
    planned = replace(model, plain=plain, graph=made.graph, kernel_limits=made.kernel_limits, fused_depthwise=())
    return replace(planned, predicted_cycles=cycles), made.plan


def predicted_ms(model: Model) -> float:
    """The time that an inference of a planned model is predicted to take."""
    return milliseconds(model.predicted_cycles or 0, model.target.clock_hz)
