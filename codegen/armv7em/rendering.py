"""The C files around generated assembly, from Jinja2 templates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thimble.codegen.kernel_tools.rendering import renderer

render = renderer(Path(__file__).parent / "templates")
"""The text of a template of this family, by its name and context."""


def kernel_files(name: str, template: str, /, **context: Any) -> tuple[tuple[str, str], ...]:
    """Names and texts of a kernel's C file and its header, from the templates <template>.c.j2 and <template>.h.j2."""
    return tuple((f"{name}.{end}", render(f"{template}.{end}.j2", **context)) for end in ("c", "h"))
