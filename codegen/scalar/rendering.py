"""The C files of this family, from Jinja2 templates."""

from __future__ import annotations

from pathlib import Path

from thimble.codegen.kernel_tools.rendering import renderer
from thimble.compiler.ir.operator import GeneratedKernel

_RENDER = renderer(Path(__file__).parent / "templates", own_lines=True)


def kernel_source(template: str, kernel: str, needs: tuple[str, ...] = (), **context: object) -> GeneratedKernel:
    """The files of a kernel, from <template>.c.j2 and <template>.h.j2, and what it needs of the runtime."""
    name = f"thimble_{kernel}"
    files = tuple((f"{name}.{kind}", _RENDER(f"{template}.{kind}.j2", name=name, **context)) for kind in ("c", "h"))
    return GeneratedKernel(files, needs)
