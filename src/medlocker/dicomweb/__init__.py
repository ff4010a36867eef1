"""DICOM servers: fetch a study before a run, push what was marked. Needs the extra ``dicomweb``."""

from medlocker.errors import MissingExtraError

try:
    import pydicom  # noqa: F401
    import urllib3  # noqa: F401
except ImportError as error:
    raise MissingExtraError(error.name or "urllib3", "dicomweb") from error

from medlocker.dicomweb._address import Address, is_address, is_uid, parse_source, parse_store
from medlocker.dicomweb._credentials import PULL_VARIABLE, PUSH_VARIABLE, Credentials, read_credentials
from medlocker.dicomweb._http import NotFoundError, Server, ServerGoneError, SilentServerError
from medlocker.dicomweb._pull import FetchPlan, Pulled, check_whole, plan_pull, pull
from medlocker.dicomweb._push import Marked, Pushed, find_marked, push
from medlocker.dicomweb._pushlog import PushLog
from medlocker.dicomweb._qido import Instance, find_instances, first_value, search
from medlocker.dicomweb._retrieve import retrieved
from medlocker.dicomweb._staging import Staging

__all__ = [
    "PULL_VARIABLE",
    "PUSH_VARIABLE",
    "Address",
    "Credentials",
    "FetchPlan",
    "Instance",
    "Marked",
    "NotFoundError",
    "Pulled",
    "PushLog",
    "Pushed",
    "Server",
    "ServerGoneError",
    "SilentServerError",
    "Staging",
    "check_whole",
    "find_instances",
    "find_marked",
    "first_value",
    "is_address",
    "is_uid",
    "parse_source",
    "parse_store",
    "plan_pull",
    "pull",
    "push",
    "read_credentials",
    "retrieved",
    "search",
]
