"""The generated C of the shipped model, kept to be read: a golden shows a change, other tests show that it is right."""

from __future__ import annotations

import difflib
from pathlib import Path

import pytest

from thimble.codegen.project import generate_project
from thimble.compiler.driver import demo
from thimble.compiler.driver.build_folder import read_model
from thimble.compiler.plan.planner import plan_layers
from thimble.targets.model import load_target

GOLDEN = Path(__file__).parent / "fashion_mnist_int8"
FILES = ("fashion_mnist_int8.h", "fashion_mnist_int8.c", "fashion_mnist_int8_weights.h", "main.c", "Makefile")


@pytest.mark.parametrize("name", FILES)
def test_generated_file_equals_golden(name: str, request: pytest.FixtureRequest) -> None:
    _, graph = read_model(demo.model_path())
    project = generate_project(graph, plan_layers(graph), load_target("stm32l4r5zi"), "fashion_mnist_int8")
    text, path = project.files[name], GOLDEN / f"{name}.golden"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    golden = path.read_text()
    difference = "".join(difflib.unified_diff(golden.splitlines(True), text.splitlines(True), "golden", "generated"))
    assert not difference, f"{difference}\nIf the change is meant, run `make golden` and read its diff."
