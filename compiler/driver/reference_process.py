"""A reference runtime in a process of its own, so that a model that kills it does not kill Thimble with it."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from multiprocessing.connection import Pipe
from types import TracebackType
from typing import Any

from thimble.compiler.ir.operator import Array, Rounding

_CHILD = "thimble.compiler.driver.reference_child"


@dataclass(frozen=True, slots=True)
class Opening:
    """What a runtime is opened with; `arena_bytes` is for TFLite Micro alone, `preserve` keeps every tensor."""

    rounding: Rounding
    model: bytes
    outputs: int
    arena_bytes: int
    preserve: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """The child's answer where the runtime refuses what it was asked: the runtime's own reason."""

    reason: str


class RuntimeRefuses(Exception):
    """The runtime does not take the model; the message is its own."""


class RuntimeDies(Exception):
    """The runtime's process has ended; the message says how. `given`: the inputs of its inferences until then."""

    def __init__(self, how: str, given: list[list[Array]]) -> None:
        super().__init__(how)
        self.given = given


class ReferenceProcess:
    """A model in its reference runtime. Every method raises RuntimeRefuses or RuntimeDies where it must."""

    def __init__(self, opening: Opening) -> None:
        self._given: list[list[Array]] = []
        self._connection, theirs = Pipe()
        with theirs:
            command = [sys.executable, "-P", "-m", _CHILD, str(theirs.fileno())]
            self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        try:
            self._ask(opening)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> ReferenceProcess:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def invoke(self, inputs: list[Array]) -> list[Array]:
        """The outputs of one inference; state carries over to the next."""
        self._given.append(inputs)
        outputs: list[Array] = self._ask(inputs)
        return outputs

    def tensor(self, index: int) -> Array:
        """A tensor by its index in the file, after an inference of a runtime that preserves them."""
        array: Array = self._ask(index)
        return array

    def close(self) -> None:
        """End the process, whatever it is at: it holds nothing that would be lost."""
        self._connection.close()
        self._process.kill()
        self._process.wait()

    def _ask(self, question: Opening | list[Array] | int) -> Any:
        try:
            self._connection.send(question)
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            raise RuntimeDies(_how(self._process.wait()), self._given) from error
        if isinstance(answer, Refusal):
            raise RuntimeRefuses(answer.reason)
        return answer


def _how(status: int) -> str:
    return f"of {signal.Signals(-status).name}" if status < 0 else f"with exit code {status}"
