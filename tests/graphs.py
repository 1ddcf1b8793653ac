"""The graph of a model, as `compile` sees it before kernels are chosen."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from thimble.compiler.driver.build_folder import import_model, optimize, read_file
from thimble.compiler.ir.graph import Graph
from thimble.compiler.ops.support import check_supported


def read_graph(path: Path) -> Graph:
    """The graph of a model file, all passes done. Raises UsageError, MalformedModel or UnsupportedOp."""
    return graph_of(read_file(path), path)


def graph_of(data: bytes, path: Path, disabled_passes: Collection[str] = ()) -> Graph:
    """The graph of a model's bytes, all passes but the disabled ones done; `path` tells the format and the name."""
    source = import_model(data, path)
    check_supported(source)
    return optimize(source, disabled_passes)[0]
