"""`medlocker proxy`: a DICOMweb service on this machine that restores what a grant opens, as it is looked at.

It stands before a server that has marked instances. ``_guard.py`` decides who may ask, ``_instances.py`` what
they see, ``_log.py`` writes it down; ``_searching.py`` and ``_retrieving.py`` are the addresses of DICOMweb.
Needs the extras ``dicomweb`` and ``web``.
"""

from medlocker.errors import MissingExtraError

try:
    import starlette  # noqa: F401
    import uvicorn  # noqa: F401
except ImportError as error:
    raise MissingExtraError(error.name or "starlette", "web") from error

from medlocker.proxy._app import make_app
from medlocker.proxy._asked import ROOT
from medlocker.proxy._callers import LOCAL, Caller, Callers, Opening, TokenLine, read_tokens
from medlocker.proxy._instances import Instances
from medlocker.proxy._listening import Listening, plan_listening, run_app
from medlocker.proxy._log import AccessLog
from medlocker.proxy._opening import open_grants
from medlocker.proxy._releases import ServedReleases

__all__ = [
    "LOCAL",
    "ROOT",
    "AccessLog",
    "Caller",
    "Callers",
    "Instances",
    "Listening",
    "Opening",
    "ServedReleases",
    "TokenLine",
    "make_app",
    "open_grants",
    "plan_listening",
    "read_tokens",
    "run_app",
]
