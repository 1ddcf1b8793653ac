"""The generated C of the shipped model, kept to be read: a golden shows a change, other tests show that it is right."""

from __future__ import annotations

import difflib
from functools import cache
from pathlib import Path

import pytest

from tests.graphs import read_graph
from thimble.codegen.project import Project, generate_project
from thimble.compiler.driver import demo
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.options import Objective, PlanOptions, Schedule
from thimble.compiler.plan.planner import plan_graph
from thimble.targets.model import load_target

FOLDER = Path(__file__).parent
LAYERS = PlanOptions(schedule=Schedule.LAYER)
ROWS = PlanOptions(schedule=Schedule.ROWS, objective=Objective.SRAM, input_by_rows=True)
FILES = [
    ("fashion_mnist_int8", LAYERS, "fashion_mnist_int8.h"),
    ("fashion_mnist_int8", LAYERS, "fashion_mnist_int8.c"),
    ("fashion_mnist_int8", LAYERS, "fashion_mnist_int8_weights.h"),
    ("fashion_mnist_int8", LAYERS, "main.c"),
    ("fashion_mnist_int8", LAYERS, "Makefile"),
    ("fashion_mnist_int8_by_rows", ROWS, "fashion_mnist_int8.h"),
    ("fashion_mnist_int8_by_rows", ROWS, "fashion_mnist_int8.c"),
    ("fashion_mnist_int8_by_rows", ROWS, "main.c"),
]


@cache
def project_of(options: PlanOptions) -> Project:
    """The project of the shipped model under a plan's options."""
    graph = read_graph(demo.model_path())
    plan = plan_graph(graph, Rounding.TFLM, options)
    return generate_project(graph, plan, load_target("stm32l4r5zi"), "fashion_mnist_int8")


@pytest.mark.parametrize(("folder", "options", "name"), FILES, ids=[f"{folder}-{name}" for folder, _, name in FILES])
def test_generated_file_equals_golden(
    folder: str, options: PlanOptions, name: str, request: pytest.FixtureRequest
) -> None:
    text, path = project_of(options).files[name], FOLDER / folder / f"{name}.golden"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    golden = path.read_text()
    difference = "".join(difflib.unified_diff(golden.splitlines(True), text.splitlines(True), "golden", "generated"))
    assert not difference, f"{difference}\nIf the change is meant, run `make golden` and read its diff."
