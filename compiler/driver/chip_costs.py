"""What kernels cost on a chip, by the options of a compilation: its data may lie in another RAM with each objective."""

from __future__ import annotations

from thimble.compiler.driver.options import CompileOptions, Regions
from thimble.compiler.plan.cycles import CycleModel, cycle_model
from thimble.compiler.plan.options import Objective
from thimble.targets.model import Target


def chip_costs(target: Target, options: CompileOptions) -> CycleModel:
    """The cost model of a chip: with `latency`, plans put all data in its fastest RAM where there is room for it."""
    fast_data = options.objective is Objective.LATENCY and options.regions is not Regions.ONE
    return cycle_model(target.name, fast_data)
