"""The built-in classifier of synthetic photographs."""

from __future__ import annotations

from pathlib import Path


def builtin_model() -> Path:
    """Return the path of the built-in ONNX classifier; its card lies beside it.

    It tells ``none``, ``mild`` and ``severe`` apart on images of :mod:`medlocker.demo`. **It is made from
    synthetic images and is no diagnostic device.** ``scripts/make_demo_model.py`` makes it.
    """
    return Path(__file__).resolve().parent / "data" / "fundus-demo.onnx"
