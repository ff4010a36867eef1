from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from medlocker.certificates import Owner, load_owner, new_owner
from selection import pytest_addoption, pytest_collection_modifyitems, pytest_sessionfinish

# collecting makes objects by the million and no garbage
gc.disable()

__all__ = ["pytest_addoption", "pytest_collection_modifyitems", "pytest_sessionfinish"]

# how long an example takes, or takes to make, says more about the machine than about the code
settings.register_profile(
    "medlocker", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("medlocker")


def pytest_collection_finish() -> None:
    gc.enable()


@pytest.fixture(scope="session")
def owner_name(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """NAME of an owner's keys on disk."""
    name = tmp_path_factory.mktemp("keys") / "owner"
    new_owner(name)
    return name


@pytest.fixture(scope="session")
def owner(owner_name: Path) -> Owner:
    return load_owner(owner_name)
