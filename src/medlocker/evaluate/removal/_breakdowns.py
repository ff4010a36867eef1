"""What attacks and trainings may end with: it costs their own rows, nothing else."""

from __future__ import annotations

import cv2
import numpy as np

from medlocker.errors import InputError, ModelError, WriteError

BREAKDOWNS = (
    InputError,
    cv2.error,
    ValueError,
    IndexError,
    ArithmeticError,
    np.linalg.LinAlgError,
    MemoryError,
)
"""What numerical libraries raise on pictures that they cannot cope with."""

UNTRAINED = (*BREAKDOWNS, ModelError, WriteError, RuntimeError)
"""What a training ends with on a full disk, without memory, or where numbers run away: it costs one row."""
