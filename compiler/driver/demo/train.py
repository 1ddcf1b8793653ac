"""Training of the shipped model in PyTorch, and what the export needs from it: folded weights and ranges.

PyTorch is imported only when called, since nothing else in Thimble's core needs it.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from thimble.compiler.driver.demo.dataset import Split
from thimble.compiler.driver.demo.network import CLASSES, ConvShape, conv_shapes
from thimble.compiler.ir.errors import ToolMissing

Range = tuple[float, float]

_BATCH = 128
_PEAK_LEARNING_RATE = 6e-3
_WEIGHT_DECAY = 1e-2
_LABEL_SMOOTHING = 0.1
_SHIFT = 2  # pixels, the largest shift of a training image


@dataclass(frozen=True, slots=True)
class FoldedConv:
    """A convolution with its batch norm folded in: weight OHWI, or (1, H, W, C) for depthwise; bias (O,)."""

    shape: ConvShape
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    output_range: Range  # (lowest, highest) real value that calibration met after the activation


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """All that quantization needs of the trained network; head weight is (classes, channels)."""

    convs: tuple[FoldedConv, ...]
    head_weight: NDArray[np.float32]
    head_bias: NDArray[np.float32]
    logits_range: Range


def import_torch(seed: int, threads: int) -> Any:
    """PyTorch with its randomness fixed by `seed`; raises ToolMissing with the line that installs it."""
    try:
        torch: Any = importlib.import_module("torch")
    except ImportError as error:
        raise ToolMissing("training needs PyTorch: run `pip install 'thimble[torch]'`") from error
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(threads)
    return torch


def build_network(torch: Any) -> Any:
    """An untrained nn.Sequential: one nn.Sequential a convolution, then the classifier on pooled channels."""
    blocks = [_build_block(torch.nn, shape) for shape in conv_shapes()]
    channels = conv_shapes()[-1].spec.channels
    head = [torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(channels, CLASSES)]
    return torch.nn.Sequential(*blocks, *head)


def _build_block(nn: Any, shape: ConvShape) -> Any:
    """Padding as TFLite's SAME, which nn.Conv2d cannot express at stride 2; convolution; norm; activation."""
    spec = shape.spec
    before, after = shape.padding
    groups = shape.in_channels if spec.kind == "depthwise" else 1
    return nn.Sequential(
        nn.ZeroPad2d((before, after, before, after)),
        nn.Conv2d(shape.in_channels, spec.channels, spec.kernel, spec.stride, groups=groups, bias=False),
        nn.BatchNorm2d(spec.channels),
        nn.ReLU6() if spec.activation == "relu6" else nn.ReLU(),
    )


def to_tensor(torch: Any, images: NDArray[np.uint8]) -> Any:
    """Images uint8 (N, 28, 28, 1) as a float tensor (N, 1, 28, 28) of values 0 to 1."""
    return torch.from_numpy(images.copy()).permute(0, 3, 1, 2).contiguous().float() / 255.0


def _augment(torch: Any, images: Any) -> Any:
    """Mirror half of the images (N, 1, 28, 28) and shift the whole batch by up to two pixels each way."""
    mirrored = torch.rand(images.shape[0], 1, 1, 1) < 0.5
    images = torch.where(mirrored, images.flip(3), images)
    down, right = (int(n) for n in torch.randint(0, 2 * _SHIFT + 1, (2,)))
    height, width = images.shape[2:]
    padded = torch.nn.functional.pad(images, (_SHIFT,) * 4)
    return padded[:, :, down : down + height, right : right + width]


def _batches(torch: Any, count: int) -> Iterator[Any]:
    """Indices 0 to count - 1 in random order, in whole batches; what does not fill a batch is left out."""
    order = torch.randperm(count)
    return (order[i : i + _BATCH] for i in range(0, count - _BATCH + 1, _BATCH))


def train(torch: Any, network: Any, split: Split, epochs: int, say: Callable[[str], None]) -> None:
    """Train `network` in place: AdamW, one learning-rate cycle, smoothed labels, images mirrored, shifted."""
    images, labels = to_tensor(torch, split.images), torch.from_numpy(split.labels)
    optimizer = torch.optim.AdamW(network.parameters(), weight_decay=_WEIGHT_DECAY)
    steps = epochs * (len(labels) // _BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, _PEAK_LEARNING_RATE, total_steps=steps)
    loss_of = torch.nn.CrossEntropyLoss(label_smoothing=_LABEL_SMOOTHING)
    network.train()
    for epoch in range(epochs):
        losses = []
        for batch in _batches(torch, len(labels)):
            loss = loss_of(network(_augment(torch, images[batch])), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        say(f"epoch {epoch + 1}/{epochs}: loss {np.mean(losses):.4f}")
    network.eval()


def float_accuracy(torch: Any, network: Any, split: Split) -> float:
    """Top-1 of the float network over `split`, in percent."""
    with torch.no_grad():
        parts = to_tensor(torch, split.images).split(1000)
        predicted = torch.cat([network(part).argmax(1) for part in parts]).numpy()
    return float(np.mean(predicted == split.labels) * 100)


def fold(torch: Any, network: Any, calibration: NDArray[np.uint8]) -> TrainedNetwork:
    """Fold batch norm into the convolutions and record activation ranges over images uint8 (N, 28, 28, 1)."""
    convs = []
    with torch.no_grad():
        x = to_tensor(torch, calibration)
        for shape, block in zip(conv_shapes(), network, strict=False):
            x = block(x)
            weight, bias = _fold_batchnorm(shape, block[1], block[2])
            convs.append(FoldedConv(shape, weight, bias, _range(x)))
        pool, flatten, linear = network[len(convs) :]
        logits = linear(flatten(pool(x)))
    return TrainedNetwork(tuple(convs), linear.weight.detach().numpy(), linear.bias.detach().numpy(), _range(logits))


def _fold_batchnorm(shape: ConvShape, conv: Any, norm: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight in TFLite's order and bias of a convolution whose output `norm` would scale and shift."""
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    weight = (conv.weight * gain.reshape(-1, 1, 1, 1)).numpy()
    bias = (norm.bias - norm.running_mean * gain).numpy()
    order = (1, 2, 3, 0) if shape.spec.kind == "depthwise" else (0, 2, 3, 1)
    return np.ascontiguousarray(weight.transpose(order)), bias


def _range(x: Any) -> Range:
    return float(x.min()), float(x.max())
