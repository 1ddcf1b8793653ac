"""What constants and code of firmwares were measured to be worth in RAM, kept in a file of the user's."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thimble.codegen.project import Project
from thimble.compiler.driver import tuned_cache
from thimble.targets.model import Target
from thimble.targets.sim.cache import cache_dir

MOST_KEPT = 200
"""Firmwares that are remembered: those that were measured last."""


def user_file() -> Path:
    """The user's own measurements."""
    return cache_dir() / "ram_places.json"


def key_of(project: Project, target: Target) -> str:
    """What measurements of a firmware hold for: all of its files, the compiler, the chip and its timing."""
    digest = hashlib.sha256(tuned_cache.context(target).encode())
    for name, text in sorted(project.files.items()):
        digest.update(f"{name} {len(text)}\0{text}".encode())
    return f"{target.name} {digest.hexdigest()}"


def load(key: str) -> Mapping[str, Any] | None:
    """What was kept of a firmware."""
    found = tuned_cache.read_tables(user_file()).get(key)
    return found if isinstance(found, dict) else None


def save(key: str, row: Mapping[str, Any]) -> None:
    """Keep what was measured of a firmware; the oldest is forgotten. Raises OSError where that cannot be written."""
    with tuned_cache.locked(user_file()):
        content = {k: v for k, v in tuned_cache.read_tables(user_file()).items() if k != key} | {key: row}
        kept = list(content.items())[-MOST_KEPT:]
        lines = [f" {json.dumps(k)}: {json.dumps(v)}" for k, v in kept]
        tuned_cache.write_text(user_file(), "{\n" + ",\n".join(lines) + "\n}\n")
