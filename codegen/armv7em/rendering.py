"""The C files around generated assembly, from Jinja2 templates."""

from __future__ import annotations

from pathlib import Path

from thimble.codegen.kernel_tools.rendering import renderer

render = renderer(Path(__file__).parent / "templates")
"""The text of a template of this family, by its name and context."""
