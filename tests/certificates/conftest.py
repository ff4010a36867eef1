from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from trust_samples import Sample, make_sample

from medlocker.certificates import Recipient, load_recipient


@pytest.fixture(scope="session")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return make_sample(tmp_path_factory.mktemp("pristine"))


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    """A release of another owner."""
    return make_sample(tmp_path_factory.mktemp("foreign"))


@pytest.fixture
def sample(pristine: Sample, tmp_path: Path) -> Sample:
    """A copy that a test may damage."""
    path = tmp_path / "release"
    shutil.copytree(pristine.path, path)
    return replace(pristine, path=path)


@pytest.fixture(scope="session")
def reader(pristine: Sample) -> Recipient:
    return load_recipient(pristine.keys / "reader.age.pub")
