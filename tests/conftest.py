"""Options and fixtures that all tests share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.shared_data import data_folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Rewrite the golden files.")


@pytest.fixture(scope="session")
def data() -> Path:
    """The data folder; tests that need it skip, and say so, where it is absent."""
    folder = data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real models: {folder} is absent (set THIMBLE_DATA)")
    return folder
