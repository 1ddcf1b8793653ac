"""The synthetic networks by name; `python -m tests.models.catalogue NAME FILE` writes one as a .tflite file."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.models.branched import build_squeeze_excite, build_u_net
from tests.models.mobilenet_v2 import MCUNET_320K, MCUNET_VWW, MOBILENET_V2, MOBILENET_V2_SMALL, build_network

MODELS: dict[str, Callable[[], bytes]] = {
    "mobilenet_v2_035_144": partial(build_network, MOBILENET_V2_SMALL),
    "mobilenet_v2_100_224": partial(build_network, MOBILENET_V2),
    "mcunet_vww_80": partial(build_network, MCUNET_VWW),
    "mcunet_320k_176": partial(build_network, MCUNET_320K),
    "squeeze_excite": build_squeeze_excite,
    "squeeze_excite_conv": partial(build_squeeze_excite, connected=False),
    "u_net": build_u_net,
}
"""Model files by name, the same bytes every time: `MODELS["u_net"]()`."""


def main(name: str, file: str) -> None:
    """Write a model."""
    Path(file).write_bytes(MODELS[name]())


if __name__ == "__main__":
    main(*sys.argv[1:])
