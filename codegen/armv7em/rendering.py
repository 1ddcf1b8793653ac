"""The C files around generated assembly, from Jinja2 templates."""

from __future__ import annotations

from pathlib import Path

import jinja2

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
)


def render(template: str, **context: object) -> str:
    """The text of a template of this family."""
    return _ENVIRONMENT.get_template(template).render(**context)
