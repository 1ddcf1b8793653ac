"""How many inputs an operator may have, where its decoder reads fixed positions and would overlook further ones."""

from __future__ import annotations

from thimble.compiler.importers.tflite.file import FileOperator
from thimble.compiler.importers.tflite.schema import BuiltinOperator as Op
from thimble.compiler.ir.errors import MalformedModel

_MOST_INPUTS: dict[int, int] = {
    Op.CALL_ONCE: 0,
    Op.VAR_HANDLE: 0,
    **dict.fromkeys((Op.AVERAGE_POOL_2D, Op.MAX_POOL_2D, Op.SOFTMAX), 1),
    **dict.fromkeys((Op.QUANTIZE, Op.DEQUANTIZE, Op.CAST, Op.READ_VARIABLE), 1),
    **dict.fromkeys((Op.SQUEEZE, Op.UNPACK, Op.SPACE_TO_DEPTH, Op.DEPTH_TO_SPACE), 1),
    **dict.fromkeys((Op.ARG_MAX, Op.ARG_MIN, Op.MEAN, Op.SUM, Op.REDUCE_MAX, Op.ASSIGN_VARIABLE), 2),
    **dict.fromkeys((Op.RESIZE_BILINEAR, Op.RESIZE_NEAREST_NEIGHBOR), 2),
    **dict.fromkeys((Op.RESHAPE, Op.EXPAND_DIMS, Op.GATHER, Op.PAD, Op.MIRROR_PAD, Op.SPLIT, Op.TRANSPOSE), 2),
    **dict.fromkeys((Op.PADV2, Op.SLICE, Op.SPLIT_V, Op.SPACE_TO_BATCH_ND, Op.BATCH_TO_SPACE_ND), 3),
    Op.SELECT_V2: 3,
    Op.STRIDED_SLICE: 4,
}


def check_input_count(operator: FileOperator) -> None:
    """Raise MalformedModel for inputs that the operator has no use for; TFLite Micro refuses nearly all of them."""
    most = _MOST_INPUTS.get(operator.code)
    if most is not None and len(operator.inputs) > most:
        raise MalformedModel(f"{operator.source} has {len(operator.inputs)} inputs; it takes at most {most}.")
