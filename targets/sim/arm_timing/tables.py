"""The timing tables of the cores: TOML in, statements for the plugin out."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thimble.compiler.ir.errors import ThimbleError
from thimble.targets.sim.trace import Timing

CORES_DIR = Path(__file__).parent / "cores"


@dataclass(frozen=True, slots=True)
class InstructionRow:
    """Cycles of one class of instructions: `cycles + per_register * words`, and where the manual says so.

    `latency` (cycles from issue until a dependent instruction may issue) and `unit` (the pipe it occupies) matter
    to superscalar cores only.
    """

    source: str
    cycles: int = 1
    per_register: int = 0
    latency: int = 1
    unit: str = "any"


@dataclass(frozen=True, slots=True)
class Rule:
    """One number of the pipeline, named in plugin/rules.def, and where the manual says so."""

    value: int
    source: str


@dataclass(frozen=True, slots=True)
class CoreTable:
    """The timing of one core. `timing` tells what it is worth: "model" was compared with silicon."""

    core: str
    pipe: str
    timing: Timing
    rules: Mapping[str, Rule]
    classes: Mapping[str, InstructionRow]

    def statements(self) -> list[str]:
        """The table as lines of the plugin's configuration file."""
        lines = [f"pipe {self.pipe}"]
        lines += [f"rule {name} {rule.value}" for name, rule in self.rules.items()]
        for name, row in self.classes.items():
            lines.append(f"class {name} {row.cycles} {row.per_register} {row.latency} {row.unit}")
        return lines


def list_cores() -> tuple[str, ...]:
    """Names of the cores that have a table, sorted."""
    return tuple(sorted(path.stem for path in CORES_DIR.glob("*.toml")))


def load_core(name: str) -> CoreTable:
    """Read the table of core `name`; "cortex-m4f" and the like fall back to the name without the "f".

    Raises ThimbleError where there is no such table or it is malformed.
    """
    path = CORES_DIR / f"{name}.toml"
    if not path.is_file():
        path = CORES_DIR / f"{name.removesuffix('f')}.toml"
    if not path.is_file():
        raise ThimbleError(f"No timing table for core '{name}': there are {', '.join(list_cores())}.")
    with path.open("rb") as file:
        return parse_core(tomllib.load(file), path.name)


def parse_core(data: Mapping[str, Any], where: str) -> CoreTable:
    """Build a CoreTable from TOML data; `where` names it in errors (ThimbleError)."""
    try:
        return CoreTable(
            core=data["core"],
            pipe=data["pipe"],
            timing=data["timing"],
            rules={name: Rule(**rule) for name, rule in data["rules"].items()},
            classes={name: InstructionRow(**row) for name, row in data["classes"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ThimbleError(f"{where}: malformed timing table: {error}.") from error
