"""Stand-ins for users' own tests: small, exact, without files or libraries."""

from medlocker.testing._linear import LinearClassifier

__all__ = ["LinearClassifier"]
