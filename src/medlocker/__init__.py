"""Visible adversarial logos for medical image data sets."""

__version__ = "0.1.0"
