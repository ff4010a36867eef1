"""Lets a process of its own import the helpers of all tests, as pytest does."""

from __future__ import annotations

import sys
from pathlib import Path

for _folder in (".", "formats", "regions"):
    sys.path.insert(0, str(Path(__file__).parent.parent / _folder))
