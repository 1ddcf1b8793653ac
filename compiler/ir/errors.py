"""Errors that a user can meet; each one maps to a documented exit code of the command line."""

from __future__ import annotations

from collections.abc import Sequence

MAX_QUOTED = 80


def quoted(name: str) -> str:
    """A name that a file gives, as messages show it: in quotes, control characters escaped, cut where it is long."""
    text = repr(name)
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 4]}...{text[0]}"


def listed(values: Sequence[object]) -> str:
    """Numbers or shapes that a file gives, as messages show them: cut where there are many."""
    text = ", ".join(map(str, values[:MAX_QUOTED]))
    return f"({text})" if len(text) <= MAX_QUOTED else f"({text[: MAX_QUOTED - 4]}...)"


class ThimbleError(Exception):
    """Base of all errors with one clear sentence for the user: what, where in the model, what to do."""

    exit_code = 1


class UsageError(ThimbleError):
    """The command or its options make no sense together, or a file named by the user is not there."""

    exit_code = 2


class UnsupportedOp(ThimbleError):
    """The model holds operators, types or shapes that Thimble does not support; `blockers` lists all of them."""

    exit_code = 3

    def __init__(self, message: str, blockers: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.blockers = blockers


class DoesNotFit(ThimbleError):
    """The firmware needs more memory than the target or the user's limit allows, by `need_bytes - have_bytes`."""

    exit_code = 4

    def __init__(self, message: str, need_bytes: int, have_bytes: int) -> None:
        super().__init__(message)
        self.need_bytes = need_bytes
        self.have_bytes = have_bytes


class TooSlow(DoesNotFit):
    """An inference takes longer than the user allows; what it lacks is time, not bytes."""

    def __init__(self, message: str) -> None:
        super().__init__(message, 0, 0)


class OutputsDiffer(ThimbleError):
    """Two runtimes that must give the same bytes did not."""

    exit_code = 5


class AccuracyMissed(ThimbleError):
    """The accuracy lost is above the user's budget."""

    exit_code = 6


class MalformedModel(ThimbleError):
    """The model file breaks its own format: an index, size or product in it is impossible."""

    exit_code = 7


class ToolMissing(ThimbleError):
    """A program that this step needs is not installed; the message holds the line that installs it."""

    exit_code = 8


class SimulationFailed(ThimbleError):
    """The simulated firmware faulted, hung or overran its stack; the message names function and address."""

    exit_code = 1
