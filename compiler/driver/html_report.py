"""report.html: one self-contained page from report.json, with the memory map drawn."""

from __future__ import annotations

from pathlib import Path

import jinja2

from thimble.compiler.driver.build_folder import open_build

_ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
    undefined=jinja2.StrictUndefined,
    autoescape=True,
)


def write_html(folder: Path) -> Path:
    """Write report.html into a build folder; its path."""
    build = open_build(folder)
    page = folder / "report.html"
    page.write_text(_ENVIRONMENT.get_template("report.html.j2").render(report=build.report), encoding="utf-8")
    return page
