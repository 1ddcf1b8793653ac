"""The operator table: a new operator is one row in one of these files."""

from __future__ import annotations

from tests.ops import (
    cases_conversion,
    cases_convolution,
    cases_elementwise,
    cases_movement,
    cases_reduction,
    cases_sequence,
)
from tests.ops.case import OpCase

CASES: tuple[OpCase, ...] = (
    *cases_conversion.CASES,
    *cases_convolution.CASES,
    *cases_elementwise.CASES,
    *cases_movement.CASES,
    *cases_reduction.CASES,
    *cases_sequence.CASES,
)
