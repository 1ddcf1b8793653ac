"""The child of reference_process.py: the program that the reference runtimes run in."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from thimble.compiler.driver.reference_process import Opening, Refusal
from thimble.compiler.ir.operator import Array, Rounding

Invoke = Callable[[list[Array]], list[Array]]
Read = Callable[[int], Array]


def _serve(connection: Connection) -> None:
    """Open what is sent first, then answer with outputs for inputs, and with a tensor for an index, until the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent is interrupted too, and ends this process
    invoke: Invoke | None = None
    read: Read | None = None
    while True:
        try:
            question = connection.recv()
        except EOFError:
            return
        answer: Any = None
        try:
            if isinstance(question, Opening):
                invoke, read = _OPEN[question.rounding](question)
            elif isinstance(question, list):
                assert invoke is not None
                answer = invoke(question)
            else:
                assert read is not None
                answer = read(question)
        except (RuntimeError, ValueError) as error:
            answer = Refusal(str(error).strip().partition("\n")[0])
        connection.send(answer)


def _open_tflm(opening: Opening) -> tuple[Invoke, Read]:
    from tflite_micro import runtime

    config = runtime.InterpreterConfig
    mode = config.kPreserveAllTensors if opening.preserve else config.kAllocationRecording
    interpreter = runtime.Interpreter.from_bytes(opening.model, arena_size=opening.arena_bytes, intrepreter_config=mode)

    def invoke(inputs: list[Array]) -> list[Array]:
        for position, array in enumerate(inputs):
            interpreter.set_input(array, position)
        interpreter.invoke()
        return [np.array(interpreter.get_output(k)) for k in range(opening.outputs)]

    return invoke, lambda tensor: np.array(interpreter.GetTensor(tensor, 0)["tensor_data"])


def _open_litert(opening: Opening) -> tuple[Invoke, Read]:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter: Any = Interpreter(
        model_content=opening.model,
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=opening.preserve,
        num_threads=1,
    )
    interpreter.allocate_tensors()
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()

    def invoke(arrays: list[Array]) -> list[Array]:
        for detail, array in zip(inputs, arrays, strict=True):
            interpreter.set_tensor(detail["index"], array)
        interpreter.invoke()
        return [np.array(interpreter.get_tensor(detail["index"])) for detail in outputs]

    return invoke, lambda tensor: np.array(interpreter.get_tensor(tensor))


_OPEN: dict[Rounding, Callable[[Opening], tuple[Invoke, Read]]] = {
    Rounding.TFLM: _open_tflm,
    Rounding.LITERT: _open_litert,
}

if __name__ == "__main__":
    _serve(Connection(int(sys.argv[1])))
