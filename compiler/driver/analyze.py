"""`thimble analyze`: whether a model fits a chip, without a build."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thimble.compiler.driver.memory_report import macs_executed, peak_layer
from thimble.compiler.driver.open_model import open_model
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.plan_model import plan_model, predicted_ms
from thimble.compiler.driver.planning import ShowProgress, peak_text, silent, sram_limit
from thimble.compiler.ir.errors import UnsupportedOp


def analyze_model(
    model_path: Path, target_name: str, options: CompileOptions | None = None, show: ShowProgress = silent
) -> dict[str, Any]:
    """Whether the model fits the target, by how many bytes, and every blocker; writes nothing.

    Flash is estimated as weights and tables alone, and marked so: only a build knows the code's size.
    """
    options = options or CompileOptions()
    try:
        model = open_model(model_path, target_name, options, show=show)
    except UnsupportedOp as error:
        return {"supported": False, "blockers": list(error.blockers) or [str(error)], "fits": None}
    model, plan = plan_model(model, sram_limit(model.target, options), show)
    ram_limit = sram_limit(model.target, options, plan)
    graph, target = model.graph, model.target
    project = model.project(plan)
    flash_limit = min(target.flash_bytes, options.max_flash_bytes or target.flash_bytes)
    return {
        "supported": True,
        "blockers": [],
        "fits": plan.arena_bytes <= ram_limit and project.weights_bytes <= flash_limit,
        "target": target.name,
        "macs": model.source.macs,
        "macs_executed": macs_executed(graph, plan),
        "layers": len(graph.nodes),
        "arena_bytes": plan.arena_bytes,
        "arena_bound_bytes": plan.bound_bytes,
        "steps": len(plan.steps),
        "predicted_ms": predicted_ms(model),
        "peak_layer": peak_layer(plan),
        "peak": peak_text(graph, plan),
        "sram_left_bytes": ram_limit - plan.arena_bytes,
        "weights_bytes": project.weights_bytes,
        "flash_left_bytes": flash_limit - project.weights_bytes,
        "note": "SRAM is the arena without stack, flash is constants without code; `thimble compile` measures both.",
    }
