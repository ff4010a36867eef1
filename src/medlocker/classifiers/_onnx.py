"""ONNX models from anywhere, through ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from medlocker.classifiers._base import BaseClassifier, log_probabilities
from medlocker.classifiers._pooling import pooled
from medlocker.classifiers.card import (
    MAX_INPUT_SIDE_PX,
    Card,
    InputSpec,
    Layout,
    card_path,
    load_card,
)
from medlocker.errors import ModelError
from medlocker.modelfiles.onnxfile import FLOATS, open_onnx

MAX_BATCH = 1024
"""Of a model that takes no other number of pictures at once."""


class OnnxClassifier(BaseClassifier):
    """An ONNX classifier: NCHW or NHWC, fixed or free batch, logits, probabilities or features.

    Use :func:`load_onnx`.
    """

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        *,
        card: Card,
        name: str,
        fingerprint: str,
        notes: tuple[str, ...],
    ) -> None:
        self._session = session
        self.on_gpu = session.get_providers()[0] != "CPUExecutionProvider"
        self._input = session.get_inputs()[0]
        self._dtype = FLOATS[self._input.type]
        first = self._input.shape[0]
        self._batch = first if isinstance(first, int) and first > 0 else None
        if self._batch is not None and self._batch > MAX_BATCH:
            raise ModelError(f"model {name}: expected batches of at most {MAX_BATCH}, got {self._batch}")
        super().__init__(card, name=name, fingerprint=fingerprint, classes=card.classes, notes=notes)
        self._features = card.output == "features"
        self._output, answers = self._probe()
        self._softmaxed = card.output == "probabilities"
        count = answers.shape[1]
        if not np.isfinite(answers).all():
            raise ModelError(f"model {name}: it answers NaN or infinity on a plain picture")
        if count < 2:
            what = "an embedding of at least two numbers" if self._features else "at least two classes"
            raise ModelError(f"model {name}: expected {what}, got {count}")
        if self.classes and len(self.classes) != count:
            raise ModelError(
                f"model {name}: the card names {len(self.classes)} classes, the model has {count}"
            )
        if not self.classes:
            self.classes = tuple(str(k) for k in range(count))
        if card.output is None:
            self._softmaxed = bool((answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-3))
            kind = "probabilities" if self._softmaxed else "logits"
            self.notes = (*self.notes, f"model {name}: its output looks like {kind}")

    def _probe(self) -> tuple[str, NDArray[np.float32]]:
        """Run three plain canvases to learn which output holds the classes."""
        levels = np.array([0, 96, 255], np.float32)[:, None, None, None]
        canvases = np.broadcast_to(levels, (3, self.height, self.width, self.channels))
        names = [output.name for output in self._session.get_outputs()]
        batch = self.normalise(np.ascontiguousarray(canvases))
        found = list(zip(names, self._call(names, batch), strict=True))
        for name, answer in found:
            flat = _flat(answer, 3)
            if flat is not None:
                return name, flat
        what = "one number per class"
        if self._features:
            what = "features"
            for name, answer in found:
                flat = self._pooled(answer, 3)
                if flat is not None:
                    shape = " x ".join(map(str, answer.shape[1:]))
                    self.notes = (*self.notes, f"model {self.name}: its features of {shape} are averaged")
                    return name, flat
        raise ModelError(f"model {self.name}: expected an output of {what}, found none")

    def _call(self, names: list[str], batch: NDArray[np.float32]) -> list[NDArray[Any]]:
        size = self._batch or len(batch)
        pieces: list[list[Any]] = []
        for start in range(0, len(batch), size):
            piece = batch[start : start + size].astype(self._dtype, copy=False)
            short = size - len(piece)
            if short:  # a model with a fixed batch: repeat the last image, drop the answers
                piece = np.concatenate([piece, np.repeat(piece[-1:], short, axis=0)])
            try:
                answers = self._session.run(names, {self._input.name: piece})
            except Exception as error:  # ONNX Runtime raises classes of its own, none of them exported
                raise ModelError(f"model {self.name}: it fails on an input of {piece.shape}") from error
            pieces.append([np.asarray(a)[: size - short] if np.ndim(a) else a for a in answers])
        return [
            np.concatenate(parts) if np.ndim(parts[0]) else parts[0] for parts in zip(*pieces, strict=True)
        ]

    def _run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        answer = self._call([self._output], batch)[0]
        answers = _flat(answer, len(batch))
        if answers is None and self._features:
            answers = self._pooled(answer, len(batch))
        if answers is None:
            raise ModelError(f"model {self.name}: its output changes shape with the batch")
        if self.prototypes is not None:
            return self.prototypes.logits(answers)
        return log_probabilities(answers) if self._softmaxed else answers

    def _pooled(self, answer: NDArray[Any], count: int) -> NDArray[np.float32] | None:
        """Return (count, D) float32 from feature maps or tokens; None if it is no such thing."""
        if answer.dtype.kind != "f" or answer.ndim < 2 or answer.shape[0] != count:
            return None
        channels_last = self.card.input.layout == "NHWC"
        return _flat(pooled(answer.astype(np.float32), channels_last=channels_last), count)

    @property
    def output(self) -> str:
        """Name of the output that is read."""
        return self._output


def _flat(answer: NDArray[Any], count: int) -> NDArray[np.float32] | None:
    """Return (count, K) float32, also from (count, K, 1, 1); None if it is no such thing."""
    if answer.dtype.kind != "f" or answer.ndim < 2 or answer.shape[0] != count:
        return None
    if any(side != 1 for side in answer.shape[2:]):
        return None
    return np.asarray(answer.reshape(count, -1), dtype=np.float32)


def load_onnx(path: Path, *, threads: int = 0) -> OnnxClassifier:
    """Open an ONNX classifier, with its card ``NAME.card.json`` if there is one.

    Args:
        path: The ``.onnx`` file.
        threads: Of ONNX Runtime; 0 takes all cores.

    Raises:
        ModelError: If the file is no usable classifier, or differs from the card's sha256.
    """
    beside = card_path(path)
    card = load_card(beside) if path.is_file() and beside.exists() else None
    opened = open_onnx(
        path, stated_sha256=card.sha256 if card else None, card=beside.name, threads=threads, gpu=True
    )
    session, fingerprint = opened.session, opened.sha256
    notes: list[str] = []
    spec = _spec_of_session(session, path.name, card, notes)
    full = replace(card, input=spec) if card else Card(spec)
    return OnnxClassifier(session, card=full, name=path.stem, fingerprint=fingerprint, notes=tuple(notes))


def _spec_of_session(
    session: onnxruntime.InferenceSession, name: str, card: Card | None, notes: list[str]
) -> InputSpec:
    """Compare the model's input with its card, or read what can be read and say what is assumed."""
    inputs = session.get_inputs()
    if len(inputs) != 1:
        raise ModelError(f"model {name}: expected one input, got {len(inputs)}")
    shape = list(inputs[0].shape)
    if inputs[0].type not in FLOATS or len(shape) != 4:
        raise ModelError(
            f"model {name}: expected an input of float images with four axes, got {inputs[0].type} {shape}"
        )
    sides = [side if isinstance(side, int) and side > 0 else None for side in shape[1:]]
    if card is not None:
        spec = card.input
        if spec.channels == 3 and sides[0 if spec.layout == "NCHW" else 2] == 1:  # a model for grey images
            spec = replace(spec, channels=1, mean=spec.mean[:1], std=spec.std[:1])
        wanted = _axes(spec)
        if any(side not in (None, want) for side, want in zip(sides, wanted, strict=True)):
            raise ModelError(
                f"model {name}: the card says {spec.layout} {wanted}, the model's input is {shape[1:]}"
            )
        return spec
    layout = _layout(sides)
    if layout is None:
        raise ModelError(
            f"model {name}: expected an input with 1 or 3 channels, got {shape}",
            hint=f"write a card {Path(name).stem}.card.json beside it",
        )
    channels, height, width = sides if layout == "NCHW" else (sides[2], sides[0], sides[1])
    if height is None or width is None:
        raise ModelError(
            f"model {name}: its input size is free, and there is no card to tell it",
            hint=f"write a card {Path(name).stem}.card.json with input.height and input.width",
        )
    if max(height, width) > MAX_INPUT_SIDE_PX:
        raise ModelError(
            f"model {name}: expected an input of at most {MAX_INPUT_SIDE_PX} pixels a side, "
            f"got {width} x {height}"
        )
    notes.append(
        f"model {name} has no card: assumed RGB in 0..1 without mean and std, stretched to "
        f"{width} x {height} ({layout})"
    )
    return InputSpec(height=height, width=width, layout=layout, channels=channels or 3)


def _axes(spec: InputSpec) -> tuple[int, int, int]:
    if spec.layout == "NCHW":
        return spec.channels, spec.height, spec.width
    return spec.height, spec.width, spec.channels


def _layout(sides: list[int | None]) -> Layout | None:
    if sides[0] in (1, 3):
        return "NCHW"
    return "NHWC" if sides[2] in (1, 3) else None
