"""Every node test of the onnx package against the float path: none wrong, and the table in the docs is current."""

from __future__ import annotations

import dataclasses
import warnings

import pytest

from tests.onnx.node_table import PAGE, edge_share, markdown, page_with
from tests.onnx.node_tests import PASSED, REFUSED, WRONG, Outcome, node_cases, try_case

LEAST_EDGE_SHARE = 0.95
"""Of the cases of the operators that edge networks use."""


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return [try_case(case) for case in node_cases()]


def test_no_case_is_wrong(outcomes: list[Outcome]) -> None:
    assert len(outcomes) > 1800
    assert [f"{o.name}: {o.reason}" for o in outcomes if o.outcome == WRONG] == []


def test_edge_networks_find_their_operators(outcomes: list[Outcome]) -> None:
    passed, count = edge_share(outcomes)
    assert count > 900
    assert passed >= LEAST_EDGE_SHARE * count


def test_every_refusal_has_a_reason(outcomes: list[Outcome]) -> None:
    refused = [outcome for outcome in outcomes if outcome.outcome == REFUSED]
    assert all(outcome.reason.strip().endswith(".") for outcome in refused)


def test_a_wrong_result_would_be_seen() -> None:
    """The harness itself: changed expectations must make a case wrong."""
    case = next(case for case in node_cases() if case.name == "test_relu")
    assert try_case(case).outcome == PASSED
    (inputs, outputs), *_ = case.data_sets
    changed = dataclasses.replace(case, data_sets=[(inputs, [outputs[0] + 0.01])])
    assert try_case(changed).outcome == WRONG


def test_table_is_current(outcomes: list[Outcome]) -> None:
    expected = page_with(markdown(outcomes))
    assert PAGE.read_text(encoding="utf-8") == expected, "run `python -m tests.onnx.node_table`"
