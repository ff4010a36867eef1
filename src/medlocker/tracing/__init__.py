"""Whose picture is this? From a screenshot, crop or print back to the marked image it was made of."""

from pathlib import Path

from medlocker.tracing._choice import Decision, decided
from medlocker.tracing._fingerprint import (
    LEAST_MATCHES,
    Fingerprint,
    Likeness,
    compare,
    fingerprint_of,
    query_of,
)
from medlocker.tracing._memory import Memory, remembered
from medlocker.tracing._pictures import Look, MarkedPictures
from medlocker.tracing._proof import CERTAIN, MarkEvidence, mark_evidence
from medlocker.tracing._search import CERTAIN_MATCHES, Candidate, Traced, candidates_of, trace

TEMPLATES = Path(__file__).parent / "templates"

__all__ = [
    "CERTAIN",
    "CERTAIN_MATCHES",
    "LEAST_MATCHES",
    "TEMPLATES",
    "Candidate",
    "Decision",
    "Fingerprint",
    "Likeness",
    "Look",
    "MarkEvidence",
    "MarkedPictures",
    "Memory",
    "Traced",
    "candidates_of",
    "compare",
    "decided",
    "fingerprint_of",
    "mark_evidence",
    "query_of",
    "remembered",
    "trace",
]
