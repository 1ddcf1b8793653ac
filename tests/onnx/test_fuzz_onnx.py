"""Mutated ONNX files are taken, or refused with one clear sentence: never a crash, a hang or a blow-up of memory."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import pytest

from tests.onnx.fuzz import field_mutant, judge, mutant, peak_bytes

MAX_SECONDS = 10.0
MAX_MESSAGE = 400
MAX_PEAK_BYTES = 1 << 30


def check(make: Callable[[int], bytes], seeds: range) -> None:
    for seed in seeds:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome, message, seconds = judge(make(seed))
        assert seconds < MAX_SECONDS, f"seed {seed}"
        assert len(message) <= MAX_MESSAGE, f"seed {seed}: {message}"
        assert message.isprintable(), f"seed {seed}: {message!r}"
        assert bool(message) is (outcome != "taken"), f"seed {seed}"


@pytest.mark.parametrize("make", [mutant, field_mutant])
def test_mutants(make: Callable[[int], bytes]) -> None:
    check(make, range(600))


@pytest.mark.full
@pytest.mark.parametrize("make", [mutant, field_mutant])
def test_many_mutants(make: Callable[[int], bytes]) -> None:
    check(make, range(600, 20_000))


def test_mutants_take_little_memory() -> None:
    assert max(peak_bytes(field_mutant(seed)) for seed in range(40)) < MAX_PEAK_BYTES
