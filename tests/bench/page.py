"""Tables that benchmarks write into pages of the documentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console

from tests.bench.models import model_file


@dataclass(frozen=True)
class TableRows:
    """The rows of one model: what the model is called on the command line and in them, and how they are measured."""

    name: str
    title: str
    is_here: bool
    measure: Callable[[], Iterable[str]]


def model_rows(name: str, rows: Callable[[Path], Iterable[str]]) -> TableRows:
    """The rows of a model of the data folder, which begin with the name of its file."""
    path = model_file(name)
    return TableRows(name, path.stem, path.is_file(), partial(rows, path))


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

    def update(self, models: Iterable[TableRows], names: Sequence[str] = ()) -> None:
        """Measure the rows of all models, or of those with one of `names` in theirs, and write them into the page.

        Rows of models that are not measured, since they are not asked for or not here, stay.
        """
        console, lines = Console(), list[str]()
        for model in models:
            known = self.lines_of(model.title)
            asked = not names or any(name in model.name for name in names)
            if asked and not model.is_here:
                console.print(f"{model.name} is not here: its rows stay.")
            elif asked:
                known = []
                for line in model.measure():
                    console.print(line, soft_wrap=True)
                    known.append(line)
            lines += known
        self.write(lines)

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
