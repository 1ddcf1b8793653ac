"""Kernels and planner of a chip as the search for bits asks for them (quantize/firmware_cost.py)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from thimble.codegen.kernels import KernelSettings, kernels_by_limit
from thimble.compiler.driver.build_folder import optimize
from thimble.compiler.driver.chip_costs import chip_costs
from thimble.compiler.driver.kernel_choice import kernel_choices, kernel_settings
from thimble.compiler.driver.narrow_report import call_bytes
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import plan_request, sram_limit
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.plan.call_shape import CallShape, NodeSize
from thimble.compiler.plan.cycles import REFERENCE
from thimble.compiler.plan.kernel_work import NodeWork
from thimble.compiler.plan.plan import Plan
from thimble.compiler.plan.planner import plan_priced
from thimble.quantize.firmware_cost import Planned
from thimble.targets.model import Target, load_target

EFFORT = 0.0
"""Plans of a search are not laid out exactly: the build's own may be some percent smaller."""


@dataclass(frozen=True, slots=True)
class ChipFirmware:
    """The firmware that a build for a target by some options would be."""

    target: Target
    options: CompileOptions
    settings: KernelSettings

    def planned(self, graph: Graph, limit_bytes: int | None) -> Planned:
        """The plan of an integer graph within a limit of arena, or the smallest one where none is."""
        passed, _ = optimize(graph, self.options.disabled_passes, self.options.io)
        options = replace(self.options, max_sram_bytes=limit_bytes, plan_time_s=EFFORT)
        limit = sram_limit(self.target, options)
        choices = kernel_choices(passed, self.target, options, self.settings)
        found = plan_priced(passed, choices, options.rounding, plan_request(options, limit, self.target))
        return Planned(found.plan.arena_bytes, found.cycles, _crowded(passed, found.plan))

    def site_cycles(self, site: Site) -> float:
        """Estimated cycles of a whole node with the fastest kernels that it has."""
        model, size = chip_costs(self.target, self.options), NodeSize.of(site)
        found = kernels_by_limit(site, self.target, self.options.rounding, False, self.settings)
        shapes = (tuple(CallShape.of(call, False) for call in calls) for _, calls in found)
        return min(model.cycles(NodeWork(size, shape)) for shape in shapes)

    def site_bytes(self, site: Site) -> int:
        """Bytes of the constants of a node's fastest kernels."""
        _, calls = next(iter(kernels_by_limit(site, self.target, self.options.rounding, False, self.settings)))
        return call_bytes(site, calls)


def chip_firmware(graph: Graph, target: str | None = None, options: CompileOptions | None = None) -> ChipFirmware:
    """The firmware of a graph for a chip by its name; without one, for the chip that cycles were measured on."""
    chip, options = load_target(target or REFERENCE), options or CompileOptions()
    return ChipFirmware(chip, options, kernel_settings(graph, chip, options))


def _crowded(graph: Graph, plan: Plan) -> frozenset[str]:
    """Names of the values that hold bytes at a plan's peak."""
    step = plan.peak_step
    live = [b for b in plan.buffers if b.first_step <= step <= b.last_step]
    values = {b.value for b in live if b.value is not None}
    values |= {plan.tiles[b.tile].value for b in live if b.tile is not None}
    return frozenset(graph.values[i].name for i in values)
