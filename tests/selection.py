"""Which tests are left out of the loop at the desk, and which skips CI takes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LONG = {
    "audit/test_audit.py", "cli", "fuzz", "release", "train", "evaluate/removal",
    "demo/test_builtin_model.py", "marking/test_keepouts.py", "formats/test_veiled_files.py",
    "prepare/test_choose_veil.py", "protect/test_decoys.py", "regions/test_anatomy.py",
    "regions/test_candidates.py", "test_hardening.py", "test_platforms.py",
    "test_readme.py", "test_veilstyle.py", "test_docs.py", "tracing",
    "review/test_reviewing.py", "test_own_parts.py",
    "formats/test_coefficients.py", "evaluate/test_probe.py", "demo/test_paint.py", "test_lattice.py",
}  # fmt: skip
"""What takes two thirds of the time: folders, files. `make test-fast` leaves them out."""
REAL = "MEDLOCKER_DATA"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--no-skips", action="store_true", help="fail if a test is skipped for want of anything but real data"
    )


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    long = {TESTS / name for name in LONG}
    files = {path for path in {item.path for item in items} if not long.isdisjoint((path, *path.parents))}
    for item in items:
        if item.path in files:
            item.add_marker("long")


def pytest_sessionfinish(session: pytest.Session) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--no-skips"):
        return
    reasons = {report.longrepr[2] for report in reporter.stats.get("skipped", [])}
    unexpected = sorted(reason for reason in reasons if REAL in os.environ or "real" not in reason)
    if unexpected:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.section("skipped, and should not have been", red=True)
        for reason in unexpected:
            reporter.line(reason, red=True)
