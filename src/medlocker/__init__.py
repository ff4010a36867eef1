"""Show medical images to people without giving them to diagnostic AI.

    import medlocker as ml

    found = ml.Veil(opacity=0.15)(model, array, keep_out=[ml.Box(40, 60, 20, 20)], seed=0)
    marked = found.apply(array)
    assert (found.undo(marked) == array).all()

For pictures in memory: models (:class:`TorchModel`, :func:`OnnxModel`, :func:`load_model`) and ways of
marking (:class:`Veil`, :class:`Marks`). For files, as the commands do: :func:`protect`, :func:`verify`,
:func:`review`, :func:`grant`, :func:`restore`, :func:`whose`, :func:`audit`, :func:`evaluate`,
:func:`inspect`, :func:`proxy`. Nothing is imported before it is used; see docs/API.md.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from medlocker.version import __version__ as __version__

if TYPE_CHECKING:
    from medlocker import errors as errors
    from medlocker.api.audit import Audited as Audited
    from medlocker.api.audit import audit as audit
    from medlocker.api.evaluate import Evaluated as Evaluated
    from medlocker.api.evaluate import evaluate as evaluate
    from medlocker.api.found import Found as Found
    from medlocker.api.grant import Granted as Granted
    from medlocker.api.grant import grant as grant
    from medlocker.api.images import read_image as read_image
    from medlocker.api.inspect import inspect as inspect
    from medlocker.api.marks import Marks as Marks
    from medlocker.api.models import OnnxModel as OnnxModel
    from medlocker.api.models import load_model as load_model
    from medlocker.api.protect import protect as protect
    from medlocker.api.protection import Protected as Protected
    from medlocker.api.proxy import proxy as proxy
    from medlocker.api.restore import Restored as Restored
    from medlocker.api.restore import restore as restore
    from medlocker.api.review import review as review
    from medlocker.api.trust import Verified as Verified
    from medlocker.api.trust import verify as verify
    from medlocker.api.veil import Veil as Lattice
    from medlocker.api.veil import Veil as Veil
    from medlocker.api.whose import Origin as Origin
    from medlocker.api.whose import whose as whose
    from medlocker.classifiers.torchmodel import TorchModel as TorchModel
    from medlocker.geometry import Box as Box
    from medlocker.protect import Harden as Harden
    from medlocker.veilstyle import VeilStyle as VeilStyle

__all__ = [
    "Audited",
    "Box",
    "Evaluated",
    "Found",
    "Granted",
    "Harden",
    "Lattice",
    "Marks",
    "OnnxModel",
    "Origin",
    "Protected",
    "Restored",
    "TorchModel",
    "Veil",
    "VeilStyle",
    "Verified",
    "audit",
    "errors",
    "evaluate",
    "grant",
    "inspect",
    "load_model",
    "protect",
    "proxy",
    "read_image",
    "restore",
    "review",
    "verify",
    "whose",
]

_HOMES = {
    "Audited": "api.audit:Audited",
    "Box": "geometry:Box",
    "Evaluated": "api.evaluate:Evaluated",
    "Found": "api.found:Found",
    "Granted": "api.grant:Granted",
    "Harden": "protect:Harden",
    "Lattice": "api.veil:Veil",
    "Marks": "api.marks:Marks",
    "OnnxModel": "api.models:OnnxModel",
    "Origin": "api.whose:Origin",
    "Protected": "api.protection:Protected",
    "Restored": "api.restore:Restored",
    "TorchModel": "classifiers.torchmodel:TorchModel",
    "Veil": "api.veil:Veil",
    "VeilStyle": "veilstyle:VeilStyle",
    "Verified": "api.trust:Verified",
    "audit": "api.audit:audit",
    "evaluate": "api.evaluate:evaluate",
    "grant": "api.grant:grant",
    "inspect": "api.inspect:inspect",
    "load_model": "api.models:load_model",
    "protect": "api.protect:protect",
    "proxy": "api.proxy:proxy",
    "read_image": "api.images:read_image",
    "restore": "api.restore:restore",
    "review": "api.review:review",
    "verify": "api.trust:verify",
    "whose": "api.whose:whose",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return importlib.import_module("medlocker.errors")
    if name not in _HOMES:
        raise AttributeError(f"module 'medlocker' has no attribute {name!r}")
    module, _, attribute = _HOMES[name].partition(":")
    try:
        found = getattr(importlib.import_module(f"medlocker.{module}"), attribute)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        from medlocker.errors import MissingExtraError

        raise MissingExtraError("torch", "torch") from error
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*__all__, "__version__"})


class _Face(ModuleType):
    """Keeps the calls of its face where packages of the program have the same name.

    To import ``medlocker.protect`` would make ``medlocker.protect`` the package; ``import`` finds that by
    its full name all the same.
    """

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face
