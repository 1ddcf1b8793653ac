"""`thimble doctor`: the external tools and Python packages that the verbs need, and how to install what is missing."""

from __future__ import annotations

from importlib import metadata
from typing import Any

from thimble.targets.tools import find_tools, install_line, missing

REFERENCE_RUNTIMES = (
    ("tflite-micro", "reference runtime of `verify`"),
    ("ai-edge-litert", "reference runtime of `verify` with --rounding litert"),
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
    lacking = False
    for package, purpose in REFERENCE_RUNTIMES:
        version = _version(package)
        lacking = lacking or version is None
        rows.append(
            {"name": package, "purpose": purpose, "version": version, "found": version is not None, "optional": False}
        )
    if lacking:
        install.append("pip install 'thimble[verify]'")
    return {"tools": rows, "install": install}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
