"""Network architectures by name (timm, torchvision) and weights files without pickled code."""

from __future__ import annotations

import pickle
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import timm
import torch
from torch import nn

from medlocker.errors import ModelError

TORCHVISION = "torchvision/"
MAX_WEIGHTS_BYTES = 8 << 30
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)?")
_WITH_AUXILIARY = ("inception_v3", "googlenet")
_AUXILIARY = ("AuxLogits.", "aux1.", "aux2.")


def canonical_architecture(name: str) -> str:
    """Return a name as cards write it: timm's, or ``torchvision/NAME`` where timm has none.

    Names that would make timm read a folder or reach a network (``hf-hub:``, ``local-dir:``) are refused.

    Raises:
        ModelError: If neither library knows it.
    """
    plain = name.removeprefix(TORCHVISION)
    if _PLAIN_NAME.fullmatch(plain):
        if plain == name and timm.is_model(name):
            return name
        if plain in _torchvision_names():
            return TORCHVISION + plain
    raise ModelError(
        f"expected an architecture of timm or torchvision, got {name!r:.60}", hint=_similar(plain)
    )


def _similar(name: str) -> str:
    near = timm.list_models(f"*{name}*")[:6] if _PLAIN_NAME.fullmatch(name) else []
    return f"similar names: {', '.join(near)}" if near else "see timm.list_models()"


def _torchvision_names() -> frozenset[str]:
    try:
        from torchvision import models  # optional: only for names that timm lacks
    except ImportError:
        return frozenset()
    return frozenset(models.list_models(module=models))


def build(architecture: str, *, outputs: int, channels: int, height: int, width: int) -> nn.Module:
    """Make a network with fresh weights.

    Args:
        architecture: See :func:`canonical_architecture`.
        outputs: Classes; 0 for a network without a head, which answers features.
        channels: Of the input, 1, 3 or 4.

    Raises:
        ModelError: If there is no such network for this input.
    """
    name = canonical_architecture(architecture)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names that moved inside timm
            if name.startswith(TORCHVISION):
                return _build_torchvision(name.removeprefix(TORCHVISION), outputs, channels)
            network: nn.Module = timm.create_model(
                name, pretrained=False, num_classes=outputs, in_chans=channels
            )
            size = (height, width)
            if hasattr(network, "patch_embed") and default_size(network) != size:
                # position embeddings are made for one size
                network = timm.create_model(
                    name, pretrained=False, num_classes=outputs, in_chans=channels, img_size=size
                )
            return network
    except (TypeError, ValueError, RuntimeError, AssertionError) as error:
        raise ModelError(
            f"architecture {name}: it cannot be made for {width} x {height} x {channels} pixels", subject=name
        ) from error


def _build_torchvision(name: str, outputs: int, channels: int) -> nn.Module:
    from torchvision import models  # see _torchvision_names

    if channels != 3:
        raise ModelError(f"architecture {TORCHVISION}{name}: expected 3 channels, got {channels}")
    options: dict[str, Any] = {}
    if name in _WITH_AUXILIARY:
        options = {"aux_logits": False, "init_weights": True}
    network: nn.Module = models.get_model(name, weights=None, num_classes=outputs or 1, **options)
    if not outputs:
        network.set_submodule(_last_linear(network), nn.Identity())
    return network


def default_size(network: nn.Module) -> tuple[int, int] | None:
    """Return (height, width) that a timm network was designed for."""
    size = (getattr(network, "pretrained_cfg", None) or {}).get("input_size")
    return (int(size[1]), int(size[2])) if size else None


def head_names(network: nn.Module) -> frozenset[str]:
    """Return the names of the parameters that make logits, the only ones that depend on the classes."""
    cfg = getattr(network, "pretrained_cfg", None) or {}
    heads = cfg.get("classifier") or _last_linear(network)
    prefixes = (heads,) if isinstance(heads, str) else tuple(heads)
    names = network.state_dict()
    return frozenset(n for n in names if any(n == p or n.startswith(p + ".") for p in prefixes))


def last_layer(network: nn.Module) -> nn.Module | None:
    """Return the layer whose outputs are the answers, None where there is not exactly one."""
    heads = sorted({name.rpartition(".")[0] for name in head_names(network)} - {""})
    return network.get_submodule(heads[0]) if len(heads) == 1 else None


def _last_linear(network: nn.Module) -> str:
    linear = [name for name, module in network.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return linear[-1] if linear else ""


def read_state(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from ``.safetensors`` or ``.pt``/``.pth``; no code in it is ever run.

    A dict under ``state_dict`` or ``model`` is unwrapped, the prefix ``module.`` of parallel training
    dropped, and so are auxiliary heads.

    Raises:
        ModelError: If it is damaged, too large, or holds anything but tensors.
    """
    if not path.is_file():
        raise ModelError(f"weights {path.name}: no such file", subject=path.name)
    if path.stat().st_size > MAX_WEIGHTS_BYTES:
        raise ModelError(
            f"weights {path.name}: expected at most {MAX_WEIGHTS_BYTES} bytes", subject=path.name
        )
    try:
        if path.suffix.lower() == ".safetensors":
            value: Any = safetensors.torch.load_file(path, device="cpu")
        else:
            value = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ModelError(
            f"weights {path.name}: expected a plain state dict, got a file that contains code",
            subject=path.name,
            hint="save it as torch.save(model.state_dict(), ...) or as safetensors",
        ) from error
    except Exception as error:  # on damaged files torch's reader raises errors of every kind
        raise ModelError(
            f"weights {path.name}: it is damaged or no weights file", subject=path.name
        ) from error
    return _plain_state(value, path.name)


def _plain_state(value: Any, name: str) -> dict[str, torch.Tensor]:
    if isinstance(value, Mapping):
        for key in ("state_dict", "model"):
            if isinstance(value.get(key), Mapping):
                value = value[key]
                break
    if (
        not isinstance(value, Mapping)
        or not value
        or not all(isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in value.items())
    ):
        raise ModelError(f"weights {name}: expected a state dict of tensors", subject=name)
    state = {key.removeprefix("module."): tensor for key, tensor in value.items()}
    return {key: tensor for key, tensor in state.items() if not key.startswith(_AUXILIARY)}


def load_state(network: nn.Module, state: Mapping[str, torch.Tensor], *, what: str) -> None:
    """Put weights into a network; names and shapes must fit exactly (counters of batches may lack).

    Raises:
        ModelError: Naming the first tensor that does not fit.
    """
    wanted = network.state_dict()
    missing = [n for n in wanted if n not in state and not n.endswith("num_batches_tracked")]
    if missing:
        raise ModelError(
            f"{what}: {len(missing)} tensors of the architecture are missing, first {missing[0]}",
            subject=what,
        )
    strangers = [n for n in state if n not in wanted]
    if strangers:
        raise ModelError(
            f"{what}: {len(strangers)} tensors are not of the architecture, first {strangers[0]!r:.80}",
            subject=what,
        )
    for name, tensor in state.items():
        if tensor.shape != wanted[name].shape:
            raise ModelError(
                f"{what}: expected {name} of {tuple(wanted[name].shape)}, got {tuple(tensor.shape)}",
                subject=what,
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{what}: {name} holds NaN or infinity", subject=what)
    network.load_state_dict(dict(state), strict=False)
