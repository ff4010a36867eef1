"""What the tests of several engines run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_groups import write_dicom

from medlocker.certificates import Owner
from medlocker.classifiers import load_classifier
from medlocker.engines import _raycluster
from medlocker.protect import Outcome, Settings
from medlocker.release import Run, run_release
from pictures import smooth
from runs import fill, images_of, make_run, picture, tiny_model

SIZE = 64
SETTINGS = Settings(preset="paper", search="screened", budget=30, margin=50, seed=1, provenance="none")


def local_run(source: Path, out: Path, owner: Owner, model: Path, **options: Any) -> Run:
    """A run in this process."""
    found = {"settings": SETTINGS, **options}
    return make_run(source, out, owner, classifiers=[load_classifier(model)], **found)


class Stop(Exception):
    """Ends a run from outside."""


def stopped_after(count: int) -> Any:
    seen = []

    def progress(outcome: Outcome) -> None:
        seen.append(outcome)
        if len(seen) == count:
            raise Stop

    return progress


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Two nodes of one CPU, named by RAY_ADDRESS; the runs join and leave it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in _raycluster._ENVIRONMENT.items():
            patch.setenv(name, value)  # read when ray is imported
        # what the workers run is what is tested here
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        from ray.cluster_utils import Cluster

        node = {"num_cpus": 1, "object_store_memory": 80 * 10**6, "include_dashboard": False}
        made = Cluster(initialize_head=True, head_node_args=node)
        made.add_node(num_cpus=1, object_store_memory=80 * 10**6)
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        made.shutdown()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, a DICOM series whose slices differ by grain, one picture without room, one broken."""
    folder = fill(tmp_path_factory.mktemp("ray") / "in", 14, size=SIZE)
    for k in range(4):
        grain = np.random.default_rng(k).normal(20, 2, (SIZE, SIZE))
        pixels = np.clip(smooth(SIZE, SIZE, 1, seed=1)[..., 0] * 200 + grain, 0, 255).astype(np.uint8)
        write_dicom(folder / f"{k}.dcm", series="1.2.3", instance=f"1.2.3.{k}", pixels=pixels)
    (folder / "tiny.png").write_bytes(picture(size=12))
    (folder / "broken.png").write_bytes(picture()[:100])
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def whole(
    tmp_path_factory: pytest.TempPathFactory, source: Path, owner: Owner, model: Path
) -> dict[str, bytes]:
    """What a local run makes of it."""
    out = tmp_path_factory.mktemp("whole") / "out"
    run_release(local_run(source, out, owner, model))
    return images_of(out)
