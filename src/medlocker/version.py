"""The version, apart from the face of the package: every module may import it."""

__version__ = "0.3.0"
