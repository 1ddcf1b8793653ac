"""The C files of this family, from Jinja2 templates."""

from __future__ import annotations

from pathlib import Path

import jinja2

from thimble.compiler.ir.operator import GeneratedKernel

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    keep_trailing_newline=True,
    trim_blocks=True,
    lstrip_blocks=True,
)


def kernel_source(template: str, kernel: str, needs: tuple[str, ...] = (), **context: object) -> GeneratedKernel:
    """The files of a kernel, from <template>.c.j2 and <template>.h.j2, and what it needs of the runtime."""
    name = f"thimble_{kernel}"
    files = tuple(
        (f"{name}.{kind}", _ENVIRONMENT.get_template(f"{template}.{kind}.j2").render(name=name, **context))
        for kind in ("c", "h")
    )
    return GeneratedKernel(files, needs)
