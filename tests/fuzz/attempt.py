"""One mutant: made from its number alone, taken through `thimble compile` as far as the C text, and judged."""

from __future__ import annotations

import re
import resource
import signal
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import numpy as np

from tests.fuzz.mutate_bytes import mutate_bytes
from tests.fuzz.mutate_fields import mutate_fields
from tests.fuzz.seeds import draw_seed
from tests.graphs import graph_of
from thimble.codegen.project import generate_project
from thimble.compiler.driver.options import CompileOptions
from thimble.compiler.driver.planning import check_ram, make_plan
from thimble.compiler.ir.errors import DoesNotFit, MalformedModel, UnsupportedOp
from thimble.compiler.ir.operator import Rounding
from thimble.targets.model import load_target

ACCEPTED = "compiled"
REFUSALS = (MalformedModel, UnsupportedOp, DoesNotFit)
FIELDS_SHARE = 0.6
CPU_LIMIT_S = 10.0
MEMORY_LIMIT_BYTES = 1 << 30
"""Of address space above what the interpreter has mapped before the first mutant."""
MAX_MESSAGE = 400
MAX_TEXT_PER_BYTE, MAX_TEXT_BYTES = 40, 4 << 20
"""A project's text may not exceed MAX_TEXT_BYTES + MAX_TEXT_PER_BYTE for each byte of the model."""
_PYTHON_TALK = re.compile(
    r"Traceback|Error\(|<class|<[\w.]+ object|array\(|dtype\(|np\.\w|numpy\.|None\b|Bug in Thimble"
)


class Hang(BaseException):
    """A mutant took more than CPU_LIMIT_S."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of a mutant: ACCEPTED, the name of a refusal, or a failure with its `detail`."""

    index: int
    origin: str
    outcome: str
    detail: str = ""
    seconds: float = 0.0
    peak_bytes: int = 0

    @property
    def failed(self) -> bool:
        """Whether Thimble broke its promise."""
        return self.outcome not in (ACCEPTED, *(kind.__name__ for kind in REFUSALS))


def make_mutant(seed: int, index: int) -> tuple[str, bytes]:
    """Mutant `index` of the sequence `seed`: how it was made, and its bytes. The same numbers give the same mutant."""
    rng = np.random.default_rng([seed, index])
    name, data = draw_seed(rng)
    mutate = mutate_fields if rng.random() < FIELDS_SHARE else mutate_bytes
    how, data = mutate(rng, data)
    return f"{name}: {how}", data


def judge(data: bytes, index: int = 0, origin: str = "") -> Verdict:
    """Take a model through the stages; never raises."""
    reset_peak()
    start = time.process_time()
    signal.signal(signal.SIGPROF, _raise_hang)
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
    try:
        outcome, detail = _attempt(data)
    except Hang:
        outcome, detail = "hang", f"more than {CPU_LIMIT_S} s"
    except BaseException as error:
        outcome, detail = type(error).__name__, traceback.format_exc(limit=-6)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return Verdict(index, origin, outcome, detail, time.process_time() - start, peak_bytes())


def _attempt(data: bytes) -> tuple[str, str]:
    try:
        text_bytes = _compile(data)
    except REFUSALS as error:
        message = str(error)
        fault = next((f for text in (message, *getattr(error, "blockers", ())) if (f := _fault(text))), None)
        return (type(error).__name__, message) if fault is None else ("message", f"{fault}: {message!r}")
    if text_bytes > MAX_TEXT_BYTES + MAX_TEXT_PER_BYTE * len(data):
        return "text", f"{text_bytes} bytes of C from {len(data)} bytes of model"
    return ACCEPTED, ""


def _compile(data: bytes) -> int:
    """All stages of `thimble compile` before the C compiler; size of the generated text."""
    target = load_target("stm32l4r5zi")
    graph = graph_of(data, Path("model.tflite"))
    options = CompileOptions(plan_time_s=0.1)  # a longer search for a layout runs no other code
    plan = make_plan(graph, options)
    check_ram(graph, plan, target, options)
    project = generate_project(graph, plan, target, "model", Rounding.TFLM)
    return sum(len(text) for text in project.files.values())


def _fault(message: str) -> str | None:
    """What is wrong with a message for the user, if anything."""
    if not message.strip():
        return "empty"
    if not message.isprintable():
        return "more than one line, or control characters"
    if len(message) >= MAX_MESSAGE:
        return f"{len(message)} characters"
    found = _PYTHON_TALK.search(message)
    return f"Python talk {found.group()!r}" if found else None


def _raise_hang(number: int, frame: FrameType | None) -> None:
    raise Hang


def limit_memory() -> None:
    """Allow this process MEMORY_LIMIT_BYTES more address space than it has mapped now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY_LIMIT_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def resident_bytes() -> int:
    """Memory that this process holds now, whatever ran in it before."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def reset_peak() -> None:
    """Let the kernel count this process's peak anew from now (proc(5), clear_refs)."""
    Path("/proc/self/clear_refs").write_text("5")


def peak_bytes() -> int:
    """Peak resident memory since `reset_peak`."""
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found.group(1)) << 10 if found else 0
