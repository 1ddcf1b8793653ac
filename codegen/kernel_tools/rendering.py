"""The C files of generated kernels, from Jinja2 templates."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import jinja2


def renderer(folder: Path, own_lines: bool = False) -> Callable[..., str]:
    """A function (template, **context) -> text for the templates of a folder.

    Where `own_lines`, tags that stand alone on a line leave none behind.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        trim_blocks=own_lines,
        lstrip_blocks=own_lines,
    )

    def render(template: str, **context: object) -> str:
        return environment.get_template(template).render(**context)

    return render
