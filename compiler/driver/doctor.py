"""`thimble doctor`: the external tools and Python packages that the verbs need, and how to install what is missing."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from thimble.targets.tools import find_tools, install_line, missing

# Package, what it is for, the extra of ours that installs it, whether only some targets need it.
PACKAGES = (
    ("tflite-micro", "reference runtime of `verify`", "verify", False),
    ("ai-edge-litert", "reference runtime of `verify` with --rounding litert", "verify", False),
    ("pythondata-cpu-ibex", "RTL of the targets ibex and ibex-fast", "ibex", True),
)


def check_tools() -> dict[str, Any]:
    """`tools`: each with what it is for, version and whether it is found; `install`: lines that install the missing."""
    rows = [
        {
            "name": found.tool.name,
            "purpose": found.tool.purpose,
            "version": found.version,
            "found": found.path is not None,
            "optional": found.tool.optional,
        }
        for found in find_tools()
    ]
    install = [install_line(missing())] if missing() else []
    lacking: dict[str, None] = {}
    for package, purpose, extra, optional in PACKAGES:
        version = _version(package)
        if version is None and not optional:
            lacking[extra] = None
        rows.append(
            {
                "name": package,
                "purpose": purpose,
                "version": version,
                "found": version is not None,
                "optional": optional,
            }
        )
    install += [f"pip install 'thimble[{extra}]'" for extra in lacking]
    return {"tools": rows, "install": install}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
