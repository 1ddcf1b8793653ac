"""Builds the timing plugin with the host's C compiler on first use, and keeps it by the hash of its sources."""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
from pathlib import Path

from thimble.compiler.ir.errors import ThimbleError
from thimble.targets import tools
from thimble.targets.sim.cache import cache_dir, made_cache_dir

PLUGIN_DIR = Path(__file__).parent / "plugin"
FLAGS = ("-std=gnu99", "-O2", "-flto", "-shared", "-fPIC", "-fvisibility=hidden")


def plugin_path() -> Path:
    """Path of the built plugin, which is compiled first if these sources have not been yet.

    Raises ToolMissing without a C compiler, UsageError where the cache folder cannot be written, and ThimbleError, with
    the compiler's words, where it fails.
    """
    sources = sorted(PLUGIN_DIR.glob("*.c"))
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for path in sorted(PLUGIN_DIR.iterdir()):
        if path.suffix in {".c", ".h", ".def"}:
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    library = cache_dir() / f"arm-timing-{digest.hexdigest()[:16]}.so"
    if library.is_file():
        return library
    compiler = tools.require("cc")
    # Built beside its place and moved there, so that two first uses at once do no harm.
    with tempfile.TemporaryDirectory(dir=made_cache_dir()) as folder:
        built = Path(folder) / "plugin.so"
        run = subprocess.run(
            [str(compiler), *FLAGS, "-o", str(built), *map(str, sources)],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode != 0:
            raise ThimbleError(f"The timing plugin does not compile here: {run.stderr.strip()[:2000]}")
        built.replace(library)
    return library
