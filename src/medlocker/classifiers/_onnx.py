"""ONNX models from anywhere, through ONNX Runtime."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from medlocker.classifiers._base import BaseClassifier, log_probabilities
from medlocker.classifiers._outputs import choose_output, rows, two_columns
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
from medlocker.modelfiles.onnxfile import BYTES, FLOATS, open_onnx

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
        self._dtype: type[np.generic] = FLOATS.get(self._input.type, np.uint8)
        first = self._input.shape[0]
        self._batch = first if isinstance(first, int) and first > 0 else None
        if self._batch is not None and self._batch > MAX_BATCH:
            raise ModelError(
                f"model {name}: expected batches of at most {MAX_BATCH}, got {self._batch}", subject=name
            )
        super().__init__(card, name=name, fingerprint=fingerprint, classes=card.classes, notes=notes)
        self._features = card.output == "features"
        self.one_number = False
        """Whether it answers one number for each picture, that of the second of two classes."""
        self._output, answers = self._probe()
        self._softmaxed = card.output == "probabilities"
        if not np.isfinite(answers).all():
            raise ModelError(f"model {name}: it answers NaN or infinity on a test picture", subject=name)
        if card.output is None:
            self._softmaxed = _look_like_probabilities(answers)
            kind = "probabilities" if self._softmaxed else "logits"
            self.notes = (*self.notes, f"model {name}: its output looks like {kind}")
        if answers.shape[1] == 1 and not self._features:
            self.one_number = True
            answers = two_columns(answers, is_probability=self._softmaxed)
        count = answers.shape[1]
        if count < 2:
            raise ModelError(
                f"model {name}: expected an embedding of at least two numbers, got {count}", subject=name
            )
        if self.classes and len(self.classes) != count:
            raise ModelError(
                f"model {name}: the card names {len(self.classes)} classes, the model has {count}",
                subject=name,
            )
        if not self.classes:
            self.classes = tuple(str(k) for k in range(count))

    def _probe(self) -> tuple[str, NDArray[np.float32]]:
        """Run three canvases to learn which output holds the classes; of shades, as real pictures are."""
        levels = np.array([0, 96, 255], np.float32)[:, None, None, None]
        shades = np.linspace(0, 1, self.height * self.width, dtype=np.float32).reshape(1, self.height, -1, 1)
        canvases = np.broadcast_to(
            levels + shades * (128 - levels), (3, self.height, self.width, self.channels)
        )
        names = [output.name for output in self._session.get_outputs()]
        batch = self.normalise(np.ascontiguousarray(canvases))
        try:
            answers = self._call(names, batch)
        except ModelError:
            if self._batch is not None:
                raise
            answers = []
        if self._batch is None and not any(rows(np.asarray(one), 3) is not None for one in answers):
            self._batch = 1  # of a free batch in name only
            answers = self._call(names, batch)
        found = list(zip(names, answers, strict=True))
        flat = [(name, row) for name, answer in found if (row := rows(np.asarray(answer), 3)) is not None]
        if flat:
            at = choose_output(flat, len(self.card.classes))
            if len(flat) > 1:
                self.notes = (*self.notes, f"model {self.name}: of {len(flat)} outputs {flat[at][0]} is read")
            return flat[at]
        what = "one number per class"
        if self._features:
            what = "features"
            for name, answer in found:
                pooled_rows = self._pooled(answer, 3)
                if pooled_rows is not None:
                    shape = " x ".join(map(str, answer.shape[1:]))
                    self.notes = (*self.notes, f"model {self.name}: its features of {shape} are averaged")
                    return name, pooled_rows
        raise ModelError(f"model {self.name}: expected an output of {what}, found none", subject=self.name)

    def _call(self, names: list[str], batch: NDArray[np.float32]) -> list[NDArray[Any]]:
        size = self._batch or len(batch)
        pieces: list[list[Any]] = []
        for start in range(0, len(batch), size):
            piece = self._typed(batch[start : start + size])
            short = size - len(piece)
            if short:  # a model with a fixed batch: repeat the last image, drop the answers
                piece = np.concatenate([piece, np.repeat(piece[-1:], short, axis=0)])
            try:
                answers = self._session.run(names, {self._input.name: piece})
            except Exception as error:  # ONNX Runtime raises classes of its own, none of them exported
                raise ModelError(
                    f"model {self.name}: it fails on an input of {piece.shape}", subject=self.name
                ) from error
            if size == 1:  # some leave the axis of the batch out
                answers = [a if np.shape(a)[:1] in ((), (1,)) else np.asarray(a)[None] for a in answers]
            pieces.append([np.asarray(a)[: size - short] if np.ndim(a) else a for a in answers])
        return [
            np.concatenate(parts) if np.ndim(parts[0]) else parts[0] for parts in zip(*pieces, strict=True)
        ]

    def _typed(self, piece: NDArray[np.float32]) -> NDArray[Any]:
        """Return pictures in the type that the model takes."""
        if self._dtype is np.uint8:
            return piece.round().clip(0, 255).astype(np.uint8)
        return piece.astype(self._dtype, copy=False)

    def answer(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Answer logits (N, K), or of a feature extractor (N, D), for a batch in the model's own layout."""
        answer = self._call([self._output], batch)[0]
        answers = rows(answer, len(batch))
        if answers is None and self._features:
            answers = self._pooled(answer, len(batch))
        if answers is None:
            raise ModelError(f"model {self.name}: its output changes shape with the batch", subject=self.name)
        if self.prototypes is not None:
            return self.prototypes.logits(answers)
        if self.one_number:
            answers = two_columns(answers, is_probability=self._softmaxed)
        return log_probabilities(answers) if self._softmaxed else answers

    def _pooled(self, answer: NDArray[Any], count: int) -> NDArray[np.float32] | None:
        """Return (count, D) float32 from feature maps or tokens; None if it is no such thing."""
        if answer.dtype.kind != "f" or answer.ndim < 2 or answer.shape[0] != count:
            return None
        channels_last = self.card.input.layout == "NHWC"
        return rows(pooled(answer.astype(np.float32), channels_last=channels_last), count)

    @property
    def is_softmaxed(self) -> bool:
        """Whether it answers probabilities."""
        return self._softmaxed

    @property
    def output(self) -> str:
        """Name of the output that is read."""
        return self._output

    @property
    def output_axes(self) -> int:
        """How many axes it has, as the model states."""
        shapes = {output.name: output.shape for output in self._session.get_outputs()}
        return len(shapes[self._output])


def _look_like_probabilities(answers: NDArray[np.float32]) -> bool:
    """Tell whether answers lie as those of a softmax, or of a sigmoid where there is one number."""
    if answers.shape[1] == 1:
        return bool(((answers >= 0) & (answers <= 1)).all())
    return bool((answers >= 0).all() and np.allclose(answers.sum(axis=1), 1, atol=1e-3))


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
        raise ModelError(f"model {name}: expected one input, got {len(inputs)}", subject=name)
    shape = list(inputs[0].shape)
    if inputs[0].type not in (*FLOATS, BYTES) or len(shape) != 4:
        raise ModelError(
            f"model {name}: expected an input of images with four axes, floats or bytes, "
            f"got {inputs[0].type} {shape}",
            subject=name,
        )
    of_bytes = inputs[0].type == BYTES
    sides = [side if isinstance(side, int) and side > 0 else None for side in shape[1:]]
    if card is not None:
        spec = card.input
        own = sides[0 if spec.layout == "NCHW" else 2]
        if spec.channels == 3 and own == 1:  # a model for grey images
            spec = replace(spec, channels=1, mean=spec.mean[:1], std=spec.std[:1])
        if spec.channels == 3 and own == 4 and not spec.mean and not spec.std:  # for pictures with alpha
            spec = replace(spec, channels=4)
        if of_bytes and (spec.low, spec.high) == (0.0, 1.0) and not spec.mean:  # bytes are never 0..1
            spec = replace(spec, low=0.0, high=255.0)
        wanted = _axes(spec)
        if any(side not in (None, want) for side, want in zip(sides, wanted, strict=True)):
            raise ModelError(
                f"model {name}: the card says {spec.layout} {wanted}, the model's input is {shape[1:]}",
                subject=name,
            )
        return spec
    layout = _layout(sides)
    if layout is None:
        raise ModelError(
            f"model {name}: expected an input with 1, 3 or 4 channels, got {shape}",
            subject=name,
            hint=f"write a card {Path(name).stem}.card.json beside it",
        )
    channels, height, width = sides if layout == "NCHW" else (sides[2], sides[0], sides[1])
    if height is None or width is None:
        raise ModelError(
            f"model {name}: its input size is not fixed, and no card states it",
            subject=name,
            hint=f"write a card {Path(name).stem}.card.json with input.height and input.width",
        )
    if max(height, width) > MAX_INPUT_SIDE_PX:
        raise ModelError(
            f"model {name}: expected an input of at most {MAX_INPUT_SIDE_PX} pixels a side, "
            f"got {width} x {height}",
            subject=name,
        )
    colours, white = ("opaque RGBA" if channels == 4 else "RGB"), (255 if of_bytes else 1)
    notes.append(
        f"model {name} has no card: assumed {colours} in 0..{white} without mean and std, "
        f"stretched to {width} x {height} ({layout})"
    )
    return InputSpec(
        height=height, width=width, layout=layout, channels=channels or 3, high=255.0 if of_bytes else 1.0
    )


def _axes(spec: InputSpec) -> tuple[int, int, int]:
    if spec.layout == "NCHW":
        return spec.channels, spec.height, spec.width
    return spec.height, spec.width, spec.channels


def _layout(sides: list[int | None]) -> Layout | None:
    if sides[0] in (1, 3, 4):
        return "NCHW"
    return "NHWC" if sides[2] in (1, 3, 4) else None
