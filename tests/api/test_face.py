"""What `import medlocker` offers, and what it does not import."""

from __future__ import annotations

import doctest
import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import medlocker as ml
from medlocker import api
from runs import environment

MODULES = [name for _, name, _ in pkgutil.iter_modules(api.__path__, "medlocker.api.")]


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(), check=True
    )
    return done.stdout.strip()


def test_import_takes_no_library_along() -> None:
    heavy = {"numpy", "torch", "cv2", "onnxruntime", "pydicom", "PIL", "cryptography", "typer", "rich"}
    found = python("import sys, medlocker; print(*sorted({m.partition('.')[0] for m in sys.modules}))")
    assert "medlocker" in found.split()
    assert not heavy & set(found.split())


def test_every_name_is_there_and_no_other() -> None:
    assert dir(ml) == sorted([*ml.__all__, "__version__"])
    assert ml.__all__ == sorted(ml.__all__)
    for name in ml.__all__:
        assert getattr(ml, name).__doc__, name
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = ml.nothing


def test_the_type_checker_knows_the_same_names() -> None:
    shown = inspect.getsource(ml).partition("if TYPE_CHECKING:")[2].partition("\n\n")[0]
    assert {line.split()[-1] for line in shown.strip().splitlines()} == set(ml.__all__)


def test_calls_stay_calls_when_packages_of_their_names_are_imported() -> None:
    code = "import medlocker as ml, importlib\n"
    code += "importlib.import_module('medlocker.cli.protect')\n"
    code += "for name in filter(str.islower, ml.__all__):\n    "
    code += "assert type(getattr(ml, name)).__name__ != 'module' or name == 'errors', name\nprint('ok')"
    assert python(code) == "ok"


def test_torch_model_without_torch_says_how_to_install_it() -> None:
    code = "import sys; sys.modules['torch'] = None\nimport medlocker as ml\n"
    code += "try:\n    ml.TorchModel\nexcept ml.errors.MissingExtraError as error:\n    print(error.hint)"
    assert "[torch]" in python(code)


@pytest.mark.parametrize("name", [*MODULES, "medlocker.classifiers.torchmodel", "medlocker.regions._given"])
def test_examples_in_docstrings(name: str) -> None:
    assert doctest.testmod(importlib.import_module(name)).failed == 0
