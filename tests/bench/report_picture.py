"""`make picture`: docs/report.png, the memory map of the demonstration as report.html shows it. Needs chromium."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import thimble
from thimble.compiler.driver import demo

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "report.png"
WIDTH = 1072
"""Pixels of the page."""

_TELL_HEIGHT = "<script>document.title = document.body.scrollHeight</script>"
_NARROW_MARGINS = "<style>main { margin: 0; padding: 8px }</style>"
_HEIGHT = re.compile(r"<title>(\d+)</title>")


def main() -> None:
    """Compile the shipped model, and draw one section of its report."""
    with TemporaryDirectory() as folder:
        build, page = Path(folder) / "build", Path(folder) / "page.html"
        thimble.compile(demo.model_path(), "stm32l4r5zi", build)
        text = thimble.report(build).read_text()
        style = re.findall(r"<style>.*?</style>", text, re.DOTALL)[0] + _NARROW_MARGINS
        section = text[text.rindex("<section", 0, text.index("<h2>Memory map")) :].partition("</section>")[0]
        page.write_text(f"<title>-</title>{style}<main>{section}</section></main>{_TELL_HEIGHT}")
        found = _HEIGHT.search(_chromium("--dump-dom", f"--window-size={WIDTH},100", page.as_uri()))
        assert found is not None
        _chromium(f"--screenshot={PICTURE}", f"--window-size={WIDTH},{found[1]}", "--hide-scrollbars", page.as_uri())


def _chromium(*arguments: str) -> str:
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
