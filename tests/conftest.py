"""Options and fixtures that all tests share."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Rewrite the golden files.")


def data_folder() -> Path:
    """Folder of real models and evaluation data: THIMBLE_DATA, else ../shared/data beside the checkout."""
    return Path(os.environ.get("THIMBLE_DATA", ROOT.parent / "shared" / "data"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The data folder; tests that need it skip, and say so, where it is absent."""
    folder = data_folder()
    if not folder.is_dir():
        pytest.skip(f"no real models: {folder} is absent (set THIMBLE_DATA)")
    return folder
