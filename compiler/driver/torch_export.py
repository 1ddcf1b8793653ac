"""A torch.nn.Module as a .pt2 file: what the Python API needs PyTorch for."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from thimble.compiler.ir.errors import ToolMissing, UnsupportedOp


def export_module(module: Any, example_inputs: Sequence[Any], path: Path) -> None:
    """Export `module`, in evaluation mode, for inputs like the examples, and save the program at `path`.

    Raises ToolMissing without PyTorch, UnsupportedOp where torch.export cannot trace the module.
    """
    try:
        import torch
    except ImportError as error:
        raise ToolMissing("PyTorch is not installed; install it with: pip install 'thimble[torch]'") from error
    training = bool(module.training)
    try:
        with torch.no_grad():
            program = torch.export.export(module.eval(), tuple(example_inputs))
    except Exception as error:  # torch.export raises many kinds, several of them private
        reason = (str(error).strip() or type(error).__name__).splitlines()[0][:300]
        raise UnsupportedOp(f"torch.export cannot trace the module: {reason}") from error
    finally:
        module.train(training)
    torch.export.save(program, str(path))
