"""report.json: what a build holds and what was measured of it (schema 1, DESIGN: fields are added, never renamed)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from thimble import __version__
from thimble.codegen.project import Project
from thimble.compiler.ir.graph import Graph, Site
from thimble.compiler.ir.operator import Rounding, Shape
from thimble.compiler.plan.plan import BufferKind, Plan
from thimble.targets.elf import ElfSizes
from thimble.targets.model import Target

SCHEMA = 1


def build_report(
    *,
    graph: Graph,
    source: Graph,
    model: bytes,
    plan: Plan,
    target: Target,
    project: Project,
    sizes: ElfSizes,
    rounding: Rounding,
    max_drop_percent: float | None,
    disabled_passes: tuple[str, ...],
    source_format: str = "tflite",
    input_shapes: Mapping[str, Shape] | None = None,
) -> dict[str, Any]:
    """The report of a fresh build: memory and layers. Stack, latency, verification, accuracy are not measured yet.

    `source` is the model's own graph, `graph` what is left of it to execute.
    """
    return {
        "schema": SCHEMA,
        "thimble": __version__,
        "build": {
            "name": project.name,
            "rounding": rounding.value,
            "max_drop_percent": max_drop_percent,
            "disabled_passes": list(disabled_passes),
            "input_shapes": {name: list(shape) for name, shape in (input_shapes or {}).items()},
        },
        "model": {
            "name": graph.name,
            "sha256": hashlib.sha256(model).hexdigest(),
            "source_format": source_format,
            "macs": source.macs,
            "macs_executed": graph.macs,
        },
        "target": {
            "name": target.name,
            "title": target.title,
            "core": target.core,
            "clock_hz": target.clock_hz,
            "ram_bytes": target.ram_bytes,
            "flash_bytes": target.flash_bytes,
            "timing": target.timing,
            "timing_error_percent": target.timing_error_percent,
        },
        "memory": _memory(plan, project, sizes),
        "latency": {"cycles": None, "instructions": None, "ms": None},
        "layers": _layers(graph, plan, rounding),
        "functions": [],
        "flash_symbols": _flash_symbols(sizes),
        "verify": None,
        "accuracy": None,
    }


def _memory(plan: Plan, project: Project, sizes: ElfSizes) -> dict[str, Any]:
    """Bytes by kind. The arena is a static array of main.c, so it is a part of the ELF's static RAM."""
    static = sizes.ram_static_bytes - plan.arena_bytes
    return {
        "arena_bytes": plan.arena_bytes,
        "arena_bound_bytes": plan.bound_bytes,
        "scratch_bytes": plan.scratch_bytes,
        "state_bytes": plan.bytes_of(BufferKind.STATE),
        "stack_bytes": None,
        "static_ram_bytes": static,
        "io_bytes": plan.bytes_of(BufferKind.INPUT, BufferKind.OUTPUT),
        "sram_total_bytes": sizes.ram_static_bytes,
        "weights_bytes": project.weights_bytes,
        "code_bytes": sizes.flash_total_bytes - project.weights_bytes,
        "flash_total_bytes": sizes.flash_total_bytes,
        "steps": len(plan.steps),
        "peak_step": plan.peak_step,
        "buffers": [
            {
                "name": b.name,
                "kind": b.kind.value,
                "region": "arena",
                "offset": b.offset,
                "bytes": b.bytes,
                "first_step": b.first_step,
                "last_step": b.last_step,
            }
            for b in plan.buffers
        ],
    }


def _layers(graph: Graph, plan: Plan, rounding: Rounding) -> list[dict[str, Any]]:
    """One row a step of the plan; a view is a step that calls no kernel."""
    return [
        {
            "index": index,
            "name": site.outputs[0].name if site.outputs else site.source,
            "op": site.op.name,
            "kernel": "view" if any(map(plan.is_view, node.outputs)) else _kernels(site, rounding),
            "output": str(site.outputs[0].type) if site.outputs else "",
            "macs": site.op.macs(site),
            "cycles": None,
            "instructions": None,
        }
        for index, (node, site) in enumerate(zip(graph.nodes, graph.sites, strict=True))
    ]


def _kernels(site: Site, rounding: Rounding) -> str:
    return ", ".join(sorted({call.kernel for call in site.op.lower(site, rounding)}))


def _flash_symbols(sizes: ElfSizes) -> list[dict[str, Any]]:
    """What takes flash, largest first: functions and constants of the linked firmware."""
    kept = [s for s in sizes.symbols if s.bytes and s.section not in (".bss", ".stack")]
    ordered = sorted(kept, key=lambda s: (-s.bytes, s.name))
    return [{"name": s.name, "bytes": s.bytes, "kind": s.kind} for s in ordered]
