"""Which layers of a build run in plain C, and why: nothing falls back to it in silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from thimble.codegen.kernels import own_calls
from thimble.codegen.project import Project
from thimble.codegen.why_plain import why_plain
from thimble.compiler.driver.open_model import Model
from thimble.compiler.ir.graph import Site
from thimble.compiler.ir.operator import KernelCall
from thimble.compiler.plan.kernels import UNLIMITED, KernelLimit
from thimble.compiler.plan.plan import Plan

LEAST_PERCENT = 1.0
"""Of the cycles of an inference, what layers in plain C must take together to be in a summary."""


@dataclass(frozen=True, slots=True)
class PlainLayers:
    """Layers in plain C for one reason; `percent` of the cycles of an inference, None where they were not measured."""

    why: str
    layers: tuple[int, ...]
    percent: float | None


def plain_reasons(model: Model, plan: Plan, project: Project) -> dict[int, str]:
    """For each node of which a kernel is plain C: why."""
    found: dict[int, str] = {}
    for index, site in enumerate(model.graph.sites):
        bare, used = replace(site, specialise=None), project.kernels.get(index, ())
        for whole, call in _plain_calls(bare, model, plan, index):
            if call.kernel in used:
                found.setdefault(index, _why(bare, call, whole, model, _limit(model, index)))
    return found


def _plain_calls(site: Site, model: Model, plan: Plan, node: int) -> list[tuple[bool, KernelCall]]:
    """The plain calls of a node in the form that a plan runs it, then in the other one: a part may be made whole."""
    stages = [number for number, stage in enumerate(plan.stages) if stage.node == node]
    by_rows = len(stages) > 1 or sum(step.stage in stages for step in plan.steps) > 1
    forms = (True, False) if site.op.rows(site) is not None else (True,)
    rounding = model.options.rounding
    return [
        (whole, call)
        for whole in sorted(forms, key=lambda whole: whole == by_rows)
        for call in (site.op.lower(site, rounding) if whole else site.op.lower_rows(site, rounding))
    ]


def _limit(model: Model, node: int) -> KernelLimit:
    return model.kernel_limits[node] if node < len(model.kernel_limits) else UNLIMITED


def _why(site: Site, call: KernelCall, whole: bool, model: Model, limit: KernelLimit) -> str:
    """Why a plain call stays: the layer's own reason, or the plan's."""
    reason = why_plain(site, call, whole, model.target, model.settings)
    if reason is not None:
        return reason
    offered = [found[0] for _, found in own_calls(site, [call], whole, model.target, model.settings)]
    own = [call for call in offered if call is not None]
    if not any(limit.allows(call.scratch_bytes, call.is_in_place) for call in own):
        least = min(call.scratch_bytes for call in own)
        need = f"take {least:,} bytes of scratch or more, for which the arena would grow, or " if least else ""
        return f"its own kernels {need}are predicted to be no faster"
    return "the parts that the plan makes of it are none that its own kernels take"


def plain_layers(report: Mapping[str, Any]) -> list[PlainLayers]:
    """The layers of a report in plain C by their reasons, those with the most cycles first."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in report["layers"]:
        if row.get("why_plain") is not None:
            groups.setdefault(row["why_plain"], []).append(row)
    cycles = report["latency"]["cycles"]
    found = []
    for why, rows in groups.items():
        share = None if not cycles else 100 * sum(row["cycles"] or 0 for row in rows) / cycles
        found.append(PlainLayers(why, tuple(row["index"] for row in rows), share))
    return sorted(found, key=lambda group: (-(group.percent or 0), group.layers))
