"""The model that Thimble ships: a small depthwise-separable CNN for Fashion-MNIST, with 200 test images.

`make_model` trains, quantizes and measures it again; what it wrote last is committed beside it.
"""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).resolve().parent


def model_path() -> Path:
    """Path of the int8 TFLite model: input int8 (1, 28, 28, 1), output int8 (1, 10)."""
    return _FOLDER / "fashion_mnist_int8.tflite"


def samples_path() -> Path:
    """Path of the test images: .npz, `x` int8 (200, 28, 28, 1) in the input's quantization, `y` int64 (200,)."""
    return _FOLDER / "samples.npz"


def record_path() -> Path:
    """Path of what `make_model` measured: JSON, accuracy in percent, size in bytes, MACs, hash, seed, epochs."""
    return _FOLDER / "model.json"
