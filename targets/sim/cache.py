"""Where simulators that are built on first use are kept."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from thimble.compiler.ir.errors import UsageError


def cache_dir() -> Path:
    """The user's cache folder for Thimble: $XDG_CACHE_HOME/thimble, or ~/.cache/thimble."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "thimble"


def made_cache_dir() -> Path:
    """The same folder, made where it is not there and something must be built into it. Raises UsageError."""
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        raise UsageError(
            f"The cache folder {folder} cannot be written: {error.strerror}. Name another one by XDG_CACHE_HOME."
        ) from error
