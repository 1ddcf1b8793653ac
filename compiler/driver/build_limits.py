"""What only a build knows, stack, static RAM and the time on the simulated chip: over a limit, it is planned again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thimble.compiler.driver.build_folder import empty_folder
from thimble.compiler.driver.build_plan import build_in_ram
from thimble.compiler.driver.latency import measured_ms
from thimble.compiler.driver.open_model import Model, Say
from thimble.compiler.driver.plan_model import plan_model, predicted_ms
from thimble.compiler.driver.planning import ShowProgress, plan_text, sram_limit
from thimble.compiler.plan.plan import Plan

ROOM_ATTEMPTS = 3
"""Plans that may be built to make room for stack and static RAM."""

TIME_ATTEMPTS = 2
"""Plans that may be built because the chip took longer than predicted."""


@dataclass(frozen=True, slots=True)
class _Built:
    """A plan, the model with its kernels, and the report of its firmware."""

    model: Model
    plan: Plan
    report: dict[str, Any]

    @property
    def beyond_bytes(self) -> int:
        """SRAM that the firmware takes besides the arena."""
        beyond: int = self.report["memory"]["sram_total_bytes"] - self.plan.arena_bytes
        return beyond

    @property
    def room_bytes(self) -> int:
        """SRAM that is left for the arena."""
        return sram_limit(self.model.target, self.model.options, self.plan) - self.beyond_bytes


def build_within_limits(
    opened: Model, model: Model, plan: Plan, folder: Path, say: Say, show: ShowProgress
) -> dict[str, Any]:
    """Build a plan's firmware in an empty folder; the report.

    Where it takes more SRAM than there is, or more time than is allowed, other plans of the `opened` model are built in
    its place, as long as they come nearer; the last report may still be over a limit.
    """
    built = _Built(model, plan, build_in_ram(model, plan, folder, say))
    for attempts, planned_again in ((ROOM_ATTEMPTS, _plan_smaller), (TIME_ATTEMPTS, _plan_faster)):
        for _ in range(attempts):
            better = planned_again(opened, built, say, show)
            if better is None:
                break
            model, plan = better
            say(plan_text(plan))
            empty_folder(folder)
            built = _Built(model, plan, build_in_ram(model, plan, folder, say))
    return built.report


def _plan_smaller(opened: Model, built: _Built, say: Say, show: ShowProgress) -> tuple[Model, Plan] | None:
    """A smaller plan where stack and static RAM leave too little for the arena; None where that is not so, or where
    there is none."""
    if built.plan.arena_bytes <= built.room_bytes or built.room_bytes <= 0:
        return None
    say(f"Planning again: stack and static RAM take {built.beyond_bytes} bytes besides the arena")
    model, plan = plan_model(opened, built.room_bytes, show)
    return (model, plan) if plan.arena_bytes < built.plan.arena_bytes else None


def _plan_faster(opened: Model, built: _Built, say: Say, show: ShowProgress) -> tuple[Model, Plan] | None:
    """A plan that is predicted to be faster where an inference took longer than allowed; None where it did not, or
    where none fits. Predictions are to be as much below what is allowed as the chip took longer than predicted."""
    allowed, taken, predicted = opened.options.max_ms, measured_ms(built.report), predicted_ms(built.model)
    if allowed is None or taken is None or taken <= allowed:
        return None
    most = predicted * allowed / taken
    say(f"Planning again: an inference takes {taken:g} ms, {predicted:g} were predicted; at most {most:.4g} may be now")
    model, plan = plan_model(opened, built.room_bytes, show, most)
    return (model, plan) if predicted_ms(model) < predicted and plan.arena_bytes <= built.room_bytes else None
