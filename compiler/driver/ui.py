"""What a user of the command line sees while a verb works, and its result."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import click
from rich.console import Console
from rich.progress import Progress

T = TypeVar("T")


class Ui:
    """What the user sees: stages and progress on stderr, results on stdout, all of it silent with --quiet."""

    def __init__(self, as_json: bool, quiet: bool) -> None:
        self.as_json = as_json
        self.console = Console(stderr=True, quiet=quiet, highlight=False)
        self._out = Console(highlight=False, quiet=quiet)

    def say(self, line: str) -> None:
        """One stage."""
        self.console.print(f"[dim]{line}[/dim]" if "[" not in line else line, markup="[" not in line)

    def track(self, items: Iterable[T], what: str, count: int) -> Iterable[T]:
        """Items with a progress bar, which disappears when they are done."""
        with Progress(console=self.console, transient=True) as progress:
            yield from progress.track(items, description=what, total=count)

    @contextmanager
    def planning(self) -> Iterator[Callable[[str, float], None]]:
        """A progress bar for the planner, which disappears when it is done."""
        with Progress(console=self.console, transient=True) as progress:
            task = progress.add_task("Planning", total=1)
            yield lambda what, part: progress.update(task, description=what, completed=part)

    def show(self, data: Any, table: Any) -> None:
        """The result: `data` as JSON with --json, else a table."""
        if self.as_json:
            click.echo(json.dumps(data, indent=2))
        else:
            self._out.print(table)

    def text(self, line: str) -> None:
        """A line of the result, for people only."""
        if not self.as_json:
            self._out.print(line, markup=False, soft_wrap=True)
