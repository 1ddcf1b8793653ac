"""The package list of pyproject.toml names every folder that holds Python, and nothing else."""

from __future__ import annotations

import tomllib

from tests.shared_data import ROOT

HOUSES = ("compiler", "quantize", "nas", "codegen", "runtime_c", "targets")


def test_package_list_equals_folders() -> None:
    with (ROOT / "pyproject.toml").open("rb") as file:
        listed = set(tomllib.load(file)["tool"]["setuptools"]["packages"])
    folders = {
        "thimble." + ".".join(init.parent.relative_to(ROOT).parts)
        for house in HOUSES
        for init in (ROOT / house).rglob("__init__.py")
    }
    public = "thimble.compiler.driver.public"  # installed as `thimble` itself
    assert listed == (folders - {public}) | {"thimble"}


def test_every_python_file_is_in_a_package() -> None:
    for house in HOUSES:
        for file in (ROOT / house).rglob("*.py"):
            assert (file.parent / "__init__.py").is_file(), f"{file} is in no package"
