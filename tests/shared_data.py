"""Where the data lies that is too large or not ours to ship: real models and evaluation sets."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).parent.parent


def data_folder() -> Path | None:
    """The folder that THIMBLE_DATA names, else shared/data beside the checkout; None where it is absent."""
    folder = Path(os.environ.get("THIMBLE_DATA", ROOT.parent / "shared" / "data"))
    return folder if folder.is_dir() else None


def real_models() -> list[Path]:
    """All TFLite files of the data folder; empty where it is absent."""
    folder = data_folder()
    return sorted((folder / "models").rglob("*.tflite")) if folder else []
