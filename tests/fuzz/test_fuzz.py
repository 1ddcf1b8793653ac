"""Mutated models: refused with one sentence or compiled to firmware that the sanitizers find nothing in."""

from __future__ import annotations

import numpy as np
import pytest

from tests.fuzz.attempt import ACCEPTED, judge, make_mutant
from tests.fuzz.firmware import check_firmware
from tests.fuzz.fuzz_tflite import Summary, fuzz, save_crashers
from tests.fuzz.seeds import draw_seed
from tests.ops.table import CASES
from thimble.compiler.driver import demo
from thimble.compiler.ir.errors import MalformedModel
from thimble.compiler.ops.softmax import Softmax


def _check(summary: Summary) -> None:
    save_crashers(summary)
    print(summary.text())
    assert not summary.failures, summary.text()
    assert not summary.unsafe, summary.text()


def test_mutants_are_refused_or_safe() -> None:
    summary = fuzz(seed=1, indices=range(2500), jobs=1, firmware=120)
    assert summary.outcomes[ACCEPTED] > 100, "mutations are too coarse: hardly any mutant is accepted"
    assert summary.outcomes["MalformedModel"] > 300
    assert summary.outcomes["UnsupportedOp"] > 50
    _check(summary)


@pytest.mark.full
def test_twenty_thousand_mutants_are_refused_or_safe() -> None:
    _check(fuzz(seed=2, indices=range(20_000), jobs=2, firmware=1500))


def test_a_mutant_is_made_from_its_number_alone() -> None:
    assert make_mutant(1, 5) == make_mutant(1, 5)
    assert make_mutant(1, 5) != make_mutant(1, 6)
    assert make_mutant(2, 5) != make_mutant(1, 5)


def test_seeds_themselves_are_accepted() -> None:
    rng = np.random.default_rng(0)
    origins = [draw_seed(rng) for _ in range(40)]
    verdicts = {name: judge(data) for name, data in origins if "float" not in name and "fp32" not in name}
    assert {name: v.outcome for name, v in verdicts.items() if v.outcome != ACCEPTED} == {}


def test_judge_reports_what_it_must(monkeypatch: pytest.MonkeyPatch) -> None:
    """The harness itself can fail: an exception that is no refusal, a hang, and a message in Python's own words."""
    model = demo.model_path().read_bytes()

    def broken(error: BaseException) -> None:
        def compile_model(data: bytes) -> int:
            raise error

        monkeypatch.setattr("tests.fuzz.attempt._compile", compile_model)

    broken(KeyError("x"))
    assert judge(model).outcome == "KeyError"
    broken(MalformedModel("two\nlines"))
    assert judge(model).outcome == "message"
    broken(MalformedModel("tensor <class 'int'> is wrong"))
    assert judge(model).outcome == "message"
    broken(MalformedModel(""))
    assert judge(model).failed

    def loop(data: bytes) -> int:
        while True:
            pass

    monkeypatch.setattr("tests.fuzz.attempt._compile", loop)
    monkeypatch.setattr("tests.fuzz.attempt.CPU_LIMIT_S", 0.2)
    assert judge(model).outcome == "hang"


def test_unsafe_firmware_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """One model of three whose reference disagrees with its C is named, and only that one."""
    reference = Softmax.reference

    def wrong(self: Softmax, site: object, inputs: object, rounding: object) -> tuple[np.ndarray, ...]:
        (result,) = reference(self, site, inputs, rounding)  # type: ignore[arg-type]
        return (result ^ 1,)

    monkeypatch.setattr(Softmax, "reference", wrong)
    rows = [next(c for c in CASES if c.operator == name) for name in ("ADD", "SOFTMAX", "TANH")]
    models = [(i, case.draw(np.random.default_rng(3))) for i, case in enumerate(rows)]
    ran, unsafe = check_firmware(models)
    assert (ran, [u.index for u in unsafe]) == (3, [1])
