"""Where the data lies that is too large or not ours to ship: real models and evaluation sets."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def data_folder() -> Path:
    """Folder of real models and evaluation data, maybe absent: THIMBLE_DATA, else shared/data beside the checkout."""
    return Path(os.environ.get("THIMBLE_DATA", ROOT.parent / "shared" / "data"))


def real_models() -> list[Path]:
    """All TFLite files of the data folder; empty where it is absent."""
    return sorted((data_folder() / "models").rglob("*.tflite"))
