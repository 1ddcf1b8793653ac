"""What the user may choose of a build."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from thimble.codegen.kernels import KernelFamily
from thimble.compiler.driver.calibration_data import Source
from thimble.compiler.driver.quantize_search import SearchOptions
from thimble.compiler.ir.errors import UsageError
from thimble.compiler.ir.operator import Rounding
from thimble.compiler.plan.options import Objective, Schedule
from thimble.quantize.quantizer import Method

E = TypeVar("E", bound=Enum)


class Io(Enum):
    """What the firmware takes and gives: the model's own tensors, or the integers behind the conversions."""

    MODEL = "model"
    INT8 = "int8"


class InputFeed(Enum):
    """How the input comes: whole in the arena, or pulled row by row through a callback."""

    RESIDENT = "resident"
    ROWS = "rows"


class Regions(Enum):
    """Over how many of the chip's memories the arena may be spread: several where that helps, or one."""

    AUTO = "auto"
    ONE = "one"


@dataclass(frozen=True, slots=True)
class QuantizeOptions:
    """What the user may choose of quantization; `calibration` as load_calibration takes it, `data` an .npz."""

    method: Method
    calibration: Source
    data: Path | None = None
    max_drop_percent: float | None = None
    symmetric: bool = False
    wide: bool = False  # int16 activations throughout
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()  # of ONNX inputs with dynamic dimensions
    search: SearchOptions | None = None  # fewer than 8 bits
    target: str | None = None  # the chip whose firmware a search prices; a build has its own


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """Sizes in bytes; None means the target's own limit. `max_ms` is the most that an inference may take at the
    target's clock, as predicted and as simulated. `plan_time_s` bounds the exact search for a layout, in
    CP-SAT's deterministic seconds, which take about as long as real ones and give the same plan on every machine. Up
    to `fast_weights_bytes` of constants are copied to the chip's fastest RAM before main. With `tune`, kernels are
    measured, and so is what constants and code in RAM bring: up to `fast_weights_bytes` of them lie there then; None
    leaves that to the objective.

    Choices may be given as their names. Raises UsageError for a name that is none.
    """

    name: str | None = None
    rounding: Rounding = Rounding.TFLM
    max_sram_bytes: int | None = None
    max_flash_bytes: int | None = None
    max_ms: float | None = None
    max_drop_percent: float | None = None
    disabled_passes: tuple[str, ...] = ()
    schedule: Schedule = Schedule.AUTO
    objective: Objective = Objective.BALANCED
    input: InputFeed = InputFeed.RESIDENT
    io: Io = Io.MODEL
    regions: Regions = Regions.AUTO
    fast_weights_bytes: int | None = None
    plan_time_s: float | None = None
    kernels: KernelFamily = KernelFamily.AUTO
    input_shapes: tuple[tuple[str, tuple[int, ...]], ...] = ()
    quantize: QuantizeOptions | None = None
    tune: bool = False

    def __post_init__(self) -> None:
        for field, kind in _CHOICES.items():
            object.__setattr__(self, field, choose(kind, getattr(self, field), field))

    @property
    def most_read_bytes(self) -> int:
        """Of constants that lie in RAM because they are read most: none where it is measured what that brings."""
        return 0 if self.measures_ram else self.fast_weights_bytes or 0

    @property
    def measures_ram(self) -> bool:
        """Whether constants and code are to lie in RAM where that was measured to save cycles: with `tune`, where bytes
        are given for it, or where cycles are all that counts."""
        asked = self.fast_weights_bytes
        wanted = self.objective is Objective.LATENCY if asked is None else asked > 0
        return self.tune and wanted

    def recorded(self) -> dict[str, Any]:
        """The options that report.json keeps, so that the build's graph can be made again and its plan explained."""
        return {
            **{field: getattr(self, field).value for field in _CHOICES},
            "max_drop_percent": self.max_drop_percent,
            "disabled_passes": list(self.disabled_passes),
            "max_sram_bytes": self.max_sram_bytes,
            "max_flash_bytes": self.max_flash_bytes,
            "max_ms": self.max_ms,
            "fast_weights_bytes": self.fast_weights_bytes,
            "plan_time_s": self.plan_time_s,
            "tune": self.tune,
            "input_shapes": {name: list(shape) for name, shape in self.input_shapes},
        }


def is_compact(objective: Objective) -> bool:
    """Whether kernels are to give some percent of their cycles for less flash."""
    return objective is not Objective.LATENCY


_CHOICES: dict[str, type[Enum]] = {
    "rounding": Rounding,
    "schedule": Schedule,
    "objective": Objective,
    "input": InputFeed,
    "io": Io,
    "regions": Regions,
    "kernels": KernelFamily,
}


def choose(kind: type[E], given: E | str, what: str) -> E:
    """A choice by its name. Raises UsageError where there is none of that name."""
    try:
        return kind(given)
    except ValueError as error:
        known = ", ".join(str(choice.value) for choice in kind)
        raise UsageError(f"{what} cannot be {given!r}; it is one of: {known}.") from error


def parse_bytes(text: str) -> int:
    """A size as the command line takes it: 65536, 64K or 1M (powers of 1024). Raises UsageError."""
    factors = {"K": 1 << 10, "M": 1 << 20}
    digits, factor = (text[:-1], factors[text[-1].upper()]) if text and text[-1].upper() in factors else (text, 1)
    if not digits.isdecimal() or int(digits) == 0:
        raise UsageError(f"'{text}' is no size: write bytes, or K or M behind the number, as 64K.")
    return int(digits) * factor


def parse_input_shape(text: str) -> tuple[str, tuple[int, ...]]:
    """An input's name and shape as the command line takes them: NAME=1x3x32x32. Raises UsageError."""
    name, _, sizes = text.rpartition("=")
    dims = sizes.split("x")
    if not name or not all(dim.isdecimal() and 0 < int(dim) < 1 << 31 for dim in dims):
        raise UsageError(f"'{text}' is no input shape: write NAME=1x3x32x32.")
    return name, tuple(map(int, dims))
