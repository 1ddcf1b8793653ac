"""What each layer takes of the flash: its constants, its own function, and the code that its kernel was made to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from thimble.codegen.project import Project
from thimble.compiler.driver.latency import is_of_layer
from thimble.targets.elf import ElfSizes


@dataclass(frozen=True, slots=True)
class LayerFlash:
    """Bytes of a layer in flash: constants, and code of its function and its kernels.

    `code_shared_by` layers have the same kernels, itself among them; each counts all of their code. Functions of the
    runtime that kernels of several forms call are in none.
    """

    weights_bytes: int
    code_bytes: int
    code_shared_by: int

    @property
    def row(self) -> dict[str, int]:
        """The fields as report.json has them."""
        return {
            "weights_bytes": self.weights_bytes,
            "code_bytes": self.code_bytes,
            "code_shared_by": self.code_shared_by,
        }


def flash_by_layer(project: Project, sizes: ElfSizes, operators: Sequence[str]) -> list[LayerFlash]:
    """One for each node of a graph, by the names of its `operators`."""
    functions = {s.name: s.bytes for s in sizes.symbols if s.kind == "function"}
    objects = {s.name: s.bytes for s in sizes.symbols if s.kind == "object"}
    uses = Counter(project.kernels.get(index, ()) for index in range(len(operators)))
    found = []
    for index, operator in enumerate(operators):
        kernels = project.kernels.get(index, ())
        own = sum(size for name, size in functions.items() if is_of_layer(name, index, operator))
        names = {name for kernel in kernels for name in _functions_of(kernel, project.files)}
        code = own + sum(functions.get(name, 0) for name in names)
        prefix = f"{project.name}_layer_{index:02d}_"
        weights = sum(size for name, size in objects.items() if name.startswith(prefix))
        found.append(LayerFlash(weights, code, uses[kernels] if kernels else 0))
    return found


def _functions_of(kernel: str, files: Mapping[str, str]) -> set[str]:
    """The kernel, and the functions in assembly of its own file and of the generated ones of what that declares."""
    name = f"thimble_{kernel}"
    text = files.get(f"{name}.c", "")
    declared = [files.get(f"{function}.c", "") for function in re.findall(r"^void (\w+)\(", text, re.MULTILINE)]
    return {name, *re.findall(r"\.global (\w+)", "\n".join([text, *declared]))}
