"""The C files of generated kernels, from Jinja2 templates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jinja2


def renderer(folder: Path) -> Callable[..., str]:
    """A function (template, **context) -> text for the templates of a folder."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), undefined=jinja2.StrictUndefined, keep_trailing_newline=True
    )

    def render(template: str, **context: object) -> str:
        return environment.get_template(template).render(**context)

    return render
