"""Changed torch weights are read or refused in one sentence, whatever torch's reader raises."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from fuzz_mutations import Mutation, cut, flip, flip_early, remove, repeat

from medlocker.errors import ModelError

torch = pytest.importorskip("torch")


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("change", [cut, flip, flip_early, remove, repeat])
def test_a_changed_file_is_read_or_refused_in_one_sentence(
    tmp_path: Path, zipped: bool, change: Mutation
) -> None:
    from medlocker.classifiers.architectures import read_state  # optional library

    path = tmp_path / "net.pt"
    state = {"a.weight": torch.zeros(2, 3), "a.bias": torch.ones(3)}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    whole = path.read_bytes()
    for seed in range(20):
        path.write_bytes(change(whole, random.Random(seed)))
        try:
            read_state(path)
        except ModelError as error:
            assert str(error).startswith("weights net.pt: ")  # noqa: PT017
