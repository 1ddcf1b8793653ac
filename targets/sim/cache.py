"""Where simulators that are built on first use are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """The user's cache folder for Thimble: $XDG_CACHE_HOME/thimble, or ~/.cache/thimble."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "thimble"
