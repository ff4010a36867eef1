"""What was found for one picture: marks that go on and come off."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from medlocker.api.arrays import Array, Form, to_image
from medlocker.errors import InputError, RestoreError, WrongImageError
from medlocker.images import content_digest
from medlocker.logo import Logo
from medlocker.marking import mark_pixels, unmark_pixels
from medlocker.veil import AnyMark


@dataclass(frozen=True, eq=False)
class Found:
    """Marks for one picture. It can be pickled: whoever has it has the original.

    Args:
        marks: What goes on, in this order.
        logo: What they are drawn from.
        fooled_by_model: Per model, whether it gives another class than the right one to the marked picture.
        correct_by_model: Per model, whether it gave the right class to the original.
        evaluations: What finding them cost: one picture through one model once, two with a backward pass.
        psnr: Of the marked picture, dB, at most 99.
        shape: (H, W, C) of the picture.
        dtype: ``uint8`` or ``uint16``.
    """

    marks: tuple[AnyMark, ...]
    logo: Logo = field(repr=False)
    fooled_by_model: tuple[bool, ...]
    correct_by_model: tuple[bool, ...]
    evaluations: int
    psnr: float
    shape: tuple[int, int, int]
    dtype: str
    _form: Form = field(repr=False)
    _residual: bytes = field(repr=False)
    _original: str = field(repr=False)
    _marked: str = field(repr=False)

    @property
    def fooled(self) -> bool:
        """Whether models were asked, and every one gives another class than the right one."""
        return bool(self.fooled_by_model) and all(self.fooled_by_model)

    @property
    def parameters(self) -> list[dict[str, Any]]:
        """All that marks are drawn from, JSON-ready; with the logo they can be drawn again."""
        return [mark.to_json() for mark in self.marks]

    def apply(self, array: Array) -> Array:
        """Return a marked copy of a picture.

        Args:
            array: The picture that the marks were found for, or another of its size, channels and type; only
                the former can be had back with :meth:`undo`.

        Returns:
            In the form of ``array``.

        Raises:
            InputError: If it is of another shape or type.
        """
        image, form = to_image(array)
        pixels = image.pixels
        if pixels.shape != self.shape or pixels.dtype != self.dtype:
            wanted, got = _told(self.shape, self.dtype), _told(pixels.shape, pixels.dtype)
            raise InputError(f"expected a picture of {wanted}, got {got}")
        return form.given_back(mark_pixels(image, self.marks, logo=self.logo).pixels)

    def undo(self, marked: Array) -> Array:
        """Return the original, bit for bit.

        Args:
            marked: What :meth:`apply` returned for the original.

        Returns:
            In the form in which the original was given.

        Raises:
            WrongImageError: If it is another picture, or was changed since.
            RestoreError: If the original does not come out.
        """
        image, _ = to_image(marked)
        if content_digest(image) != self._marked:
            raise WrongImageError(
                "expected the marked picture of this search as apply returned it, got another one",
                hint="whatever changes a sample, such as saving as JPEG, makes it another picture",
            )
        pixels = unmark_pixels(image, self.marks, logo=self.logo, residual=self._residual)
        original, _ = to_image(pixels)
        if content_digest(original) != self._original:
            raise RestoreError("the marks came off, but the pixels are not the original")
        return self._form.given_back(pixels)


def _told(shape: tuple[int, ...], dtype: object) -> str:
    return f"{' x '.join(map(str, shape))} {dtype}"
