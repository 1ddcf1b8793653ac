"""report.json: what a build holds and what was measured of it (schema 1, DESIGN: fields are added, never renamed)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from thimble import __version__
from thimble.codegen.project import Project
from thimble.compiler.driver.chip_costs import chip_costs
from thimble.compiler.driver.latency import milliseconds
from thimble.compiler.driver.layer_flash import flash_by_layer
from thimble.compiler.driver.memory_report import macs_by_layer, macs_executed, memory_report
from thimble.compiler.driver.narrow_report import narrow_tensors
from thimble.compiler.driver.open_model import Model
from thimble.compiler.driver.plain_layers import plain_reasons
from thimble.compiler.driver.planning import sram_bytes
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.conv_2d_add import Conv2DAdd
from thimble.compiler.plan.plan import Plan
from thimble.targets.elf import ElfSizes
from thimble.targets.model import Target

SCHEMA = 1


def build_report(model: Model, plan: Plan, project: Project, sizes: ElfSizes) -> dict[str, Any]:
    """The report of a fresh build: memory and layers. Stack, latency, verification, accuracy are not measured yet."""
    graph, target, options = model.graph, model.target, model.options
    macs = macs_by_layer(graph, plan)
    return {
        "schema": SCHEMA,
        "thimble": __version__,
        "build": _build(model, project),
        "model": {
            "name": graph.name,
            "sha256": hashlib.sha256(model.data).hexdigest(),
            "source_format": model.source_format,
            "macs": model.source.macs,
            "macs_executed": macs_executed(graph, plan),
        },
        "target": _target(target, sram_bytes(target, options, plan, model.in_ram.places)),
        "memory": memory_report(graph, plan, target, project, sizes),
        "in_ram": model.in_ram.report(project),
        "latency": _latency(model.predicted_cycles, target),
        "layers": _layers(graph, plan, project, sizes, macs, plain_reasons(model, plan, project)),
        "narrow_tensors": narrow_tensors(graph, options.rounding, chip_costs(target, options)),
        "functions": [],
        "flash_symbols": _flash_symbols(sizes),
        "verify": None,
        "accuracy": None,
    }


def _build(model: Model, project: Project) -> dict[str, Any]:
    """What a build of the same kernels is made by."""
    return {
        "name": project.name,
        **model.options.recorded(),
        "kernel_limits": [[limit.scratch_bytes, limit.apart] for limit in model.kernel_limits],
        "winograd_bytes": model.settings.winograd_bytes,
        "additions_fused": any(isinstance(node.op, Conv2DAdd) for node in model.graph.nodes),
        "depthwise_fused": list(model.fused_depthwise),
        "tuned": model.settings.tuned.rows,
    }


def _target(target: Target, ram_bytes: int) -> dict[str, Any]:
    """The chip, with the bytes of the RAMs that the firmware uses."""
    return {
        "name": target.name,
        "title": target.title,
        "core": target.core,
        "clock_hz": target.clock_hz,
        "ram_bytes": ram_bytes,
        "flash_bytes": target.flash_bytes,
        "timing": target.timing,
        "timing_error_percent": target.timing_error_percent,
    }


def _latency(predicted_cycles: int | None, target: Target) -> dict[str, Any]:
    """What is known of the time before anything is measured."""
    return {
        "cycles": None,
        "instructions": None,
        "ms": None,
        "predicted_cycles": predicted_cycles,
        "predicted_ms": None if predicted_cycles is None else milliseconds(predicted_cycles, target.clock_hz),
    }


def _layers(
    graph: Graph, plan: Plan, project: Project, sizes: ElfSizes, macs: list[int], reasons: Mapping[int, str]
) -> list[dict[str, Any]]:
    """One row a node of the graph; a view is one that calls no kernel. `guard` says by which flag a layer runs,
    `why_plain` the reason where its kernel is plain C."""
    flash = flash_by_layer(project, sizes, [site.op.name for site in graph.sites])
    guards = _guards(graph, plan)
    return [
        {
            "index": index,
            "name": site.outputs[0].name if site.outputs else site.source,
            "op": site.op.name,
            "kernel": "view" if any(map(plan.is_view, node.outputs)) else ", ".join(project.kernels.get(index, ())),
            "why_plain": reasons.get(index),
            "output": str(site.outputs[0].type) if site.outputs else "",
            "macs": macs[index],
            "cycles": None,
            "instructions": None,
            **flash[index].row,
            **({"guard": guards[index]} if index in guards else {}),
        }
        for index, (node, site) in enumerate(zip(graph.nodes, graph.sites, strict=True))
    ]


def _guards(graph: Graph, plan: Plan) -> dict[int, dict[str, Any]]:
    """For each layer that runs by a flag: the layer that makes the flag, and what it must be for this one to run."""
    makers = {value: index for index, node in enumerate(graph.nodes) for value in node.outputs}
    found = ((plan.stages[guard.stage].node, guard) for guard in plan.guards)
    return {node: {"layer": makers[g.flag], "where": g.wanted} for node, g in found if node is not None}


def _flash_symbols(sizes: ElfSizes) -> list[dict[str, Any]]:
    """What takes flash, largest first: functions and constants of the linked firmware."""
    kept = [s for s in sizes.symbols if s.bytes and s.section != ".stack" and not s.section.startswith(".bss")]
    ordered = sorted(kept, key=lambda s: (-s.bytes, s.name))
    return [{"name": s.name, "bytes": s.bytes, "kind": s.kind} for s in ordered]
