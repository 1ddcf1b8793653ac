"""Plans that a build shows to be too slow are made again, within what the chip is slower than was predicted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.models.mobilenet_v2 import Block, Network, build_network
from thimble.codegen.kernels import KernelFamily
from thimble.compiler.driver import build_limits
from thimble.compiler.driver.build_limits import TIME_ATTEMPTS, build_within_limits
from thimble.compiler.driver.open_model import Model, Say, open_model
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.plan_model import plan_model, predicted_ms
from thimble.compiler.driver.planning import check_limits, check_time, silent, sram_limit
from thimble.compiler.ir.errors import TooSlow
from thimble.compiler.plan.options import Objective, Schedule
from thimble.compiler.plan.plan import Plan

TARGET = "stm32l4r5zi"
RESIDUALS = Network(24, 8, (Block(0, 3, 1, 8), Block(48, 5, 2, 8), Block(48, 3, 1, 8)), 32, 10)
Report = dict[str, Any]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "residuals.tflite"
    path.write_bytes(build_network(RESIDUALS))
    return path


def opened(model: Path, objective: Objective) -> Model:
    return open_model(model, TARGET, CompileOptions(objective=objective, schedule=Schedule.LAYER, plan_time_s=0.0))


def planned_ms(model: Model) -> float:
    return predicted_ms(plan_model(model, sram_limit(model.target, model.options))[0])


def chip_of_speed(builds: list[Report], factor: float) -> Callable[[Model, Plan, Path, Say], Report]:
    """Builds for a chip that takes so many times what is predicted."""

    def build(model: Model, plan: Plan, folder: Path, say: Say) -> Report:
        memory = {"sram_total_bytes": plan.arena_bytes + 500, "flash_total_bytes": 0}
        latency = {"ms": factor * predicted_ms(model)}
        builds.append({"memory": memory, "latency": latency, "target": {"ram_bytes": model.target.ram_bytes}})
        return builds[-1]

    return build


def built_on(
    model: Model, factor: float, monkeypatch: pytest.MonkeyPatch, folder: Path
) -> tuple[list[Report], list[str]]:
    """The reports of all builds on a chip of this speed, and what was said."""
    builds: list[Report] = []
    said: list[str] = []
    monkeypatch.setattr(build_limits, "build_in_ram", chip_of_speed(builds, factor))
    first, plan = plan_model(model, sram_limit(model.target, model.options))
    assert build_within_limits(model, first, plan, folder, said.append, silent) is builds[-1]
    return builds, said


def test_a_plan_that_turns_out_too_slow_gives_way_to_a_faster_one(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    least = opened(model, Objective.SRAM)
    slowest, fastest = planned_ms(least), planned_ms(opened(model, Objective.LATENCY))
    allowed = 1.05 * slowest
    factor = 1.05 * slowest / (0.5 * (slowest + fastest))  # what is to be predicted then lies between both
    limited = replace(least, options=replace(least.options, max_ms=allowed))
    builds, said = built_on(limited, factor, monkeypatch, tmp_path)
    times = [report["latency"]["ms"] for report in builds]
    assert times[0] > allowed >= times[-1]
    assert sum("Planning again" in line for line in said) == len(builds) - 1 in range(1, TIME_ATTEMPTS + 1)
    assert builds[-1]["memory"]["sram_total_bytes"] > builds[0]["memory"]["sram_total_bytes"]
    check_limits(builds[-1], limited.target, limited.options)


def test_where_no_plan_is_fast_enough_that_is_said_after_few_builds(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    least = opened(model, Objective.SRAM)
    limited = replace(least, options=replace(least.options, max_ms=1.05 * planned_ms(least)))
    builds, _ = built_on(limited, 1000, monkeypatch, tmp_path)
    times = [report["latency"]["ms"] for report in builds]
    assert 1 < len(builds) <= 1 + TIME_ATTEMPTS
    assert all(later < earlier for earlier, later in pairwise(times))
    with pytest.raises(TooSlow, match=r"ms are allowed; try --objective latency or --tune or a faster chip\."):
        check_limits(builds[-1], limited.target, limited.options)


@pytest.mark.parametrize(
    ("asked", "hints"),
    [
        (CompileOptions(objective=Objective.LATENCY, tune=True), "a faster chip"),
        (CompileOptions(objective=Objective.LATENCY), "--tune or a faster chip"),
        (CompileOptions(kernels=KernelFamily.C), "--objective latency or --kernels auto or a faster chip"),
    ],
)
def test_what_is_tried_already_is_no_hint(asked: CompileOptions, hints: str) -> None:
    with pytest.raises(TooSlow, match=f"takes 2 ms, 1 ms are allowed; try {hints}\\."):
        check_time(2.0, replace(asked, max_ms=1.0), "takes")


def test_a_chip_that_is_as_fast_as_predicted_is_planned_for_once(
    model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    least = opened(model, Objective.SRAM)
    limited = replace(least, options=replace(least.options, max_ms=1.05 * planned_ms(least)))
    builds, said = built_on(limited, 1.0, monkeypatch, tmp_path)
    assert len(builds) == 1
    assert not said
