"""Pages and drawings from the driver's Jinja2 templates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import jinja2


def render(template: str, filters: Mapping[str, Callable[..., str]], **context: object) -> str:
    """The text of a template, escaped for HTML and SVG. Raises jinja2.UndefinedError where the context lacks a name."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["px"] = _px
    environment.filters.update(filters)
    return environment.get_template(template).render(**context)


def _px(value: float) -> str:
    """A coordinate without needless zeros."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
