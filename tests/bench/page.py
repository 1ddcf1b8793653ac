"""Tables that benchmarks write into pages of the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PageTable:
    """The table between the marks `name: begin` and `name: end` of a page, below its `head`."""

    page: Path
    name: str
    head: str

    @property
    def lines(self) -> list[str]:
        """All lines between the marks, those of the head among them."""
        return self._parts()[1].splitlines()

    def lines_of(self, title: str) -> list[str]:
        """The rows that begin with a title."""
        return [line for line in self.lines if line.startswith(f"| {title} |")]

    def write(self, rows: Sequence[str]) -> None:
        """Put the head and these rows in place of what stands there."""
        before, _, behind = self._parts()
        table = self.head + "".join(f"{row}\n" for row in rows)
        self.page.write_text(f"{before}{self._mark('begin')}\n{table}{self._mark('end')}{behind}", encoding="utf-8")

    def _parts(self) -> tuple[str, str, str]:
        """The page in front of the marks, between and behind them."""
        before, rest = self.page.read_text(encoding="utf-8").split(self._mark("begin"))
        between, behind = rest.split(self._mark("end"))
        return before, between, behind

    def _mark(self, which: str) -> str:
        return f"<!-- {self.name}: {which} -->"
