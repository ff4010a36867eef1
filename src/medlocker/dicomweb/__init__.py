"""DICOM servers: fetch a study before a run, push what was marked. Needs the extra ``dicomweb``."""

from medlocker.errors import MissingExtraError

try:
    import pydicom  # noqa: F401
    import urllib3  # noqa: F401
except ImportError as error:
    raise MissingExtraError(error.name or "urllib3", "dicomweb") from error

from medlocker.dicomweb._address import Address, is_address, parse_source, parse_store
from medlocker.dicomweb._credentials import PULL_VARIABLE, PUSH_VARIABLE, Credentials, read_credentials
from medlocker.dicomweb._http import Server
from medlocker.dicomweb._pull import FetchPlan, Pulled, check_whole, plan_pull, pull
from medlocker.dicomweb._push import Marked, Pushed, find_marked, push
from medlocker.dicomweb._pushlog import PushLog
from medlocker.dicomweb._staging import Staging

__all__ = [
    "PULL_VARIABLE",
    "PUSH_VARIABLE",
    "Address",
    "Credentials",
    "FetchPlan",
    "Marked",
    "Pulled",
    "PushLog",
    "Pushed",
    "Server",
    "Staging",
    "check_whole",
    "find_marked",
    "is_address",
    "parse_source",
    "parse_store",
    "plan_pull",
    "pull",
    "push",
    "read_credentials",
]
