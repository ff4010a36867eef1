"""Workers make the finder anew, anatomy included, and find out if it is another one."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from several import local_run

from medlocker.certificates import Owner
from medlocker.demo.samples import write_samples
from medlocker.engines import process_engine
from medlocker.engines._messages import FinderRecipe
from medlocker.engines._worker import _open_finder
from medlocker.errors import ModelError
from medlocker.protect import make_finder
from medlocker.regions import WithAnatomy, load_segmenter
from medlocker.release import run_release
from onnx_models import make_segmenter
from runs import images_of, tiny_model


def test_anatomy_is_looked_for_beside_each_kind_of_finder(tmp_path: Path) -> None:
    segmenter = make_segmenter(tmp_path / "some.onnx", bias=-40.0)
    for path, finder in (
        (None, WithAnatomy()),
        (None, WithAnatomy(make_finder("skin", ()))),
        (segmenter, WithAnatomy(load_segmenter(segmenter))),
    ):
        recipe = FinderRecipe(
            path, "none" if finder.lesions is None else "skin", finder.fingerprint, anatomy=True
        )
        made = _open_finder(pickle.loads(pickle.dumps(recipe)), ())
        assert isinstance(made, WithAnatomy)
        assert (made.fingerprint, made.source) == (finder.fingerprint, finder.source)


def test_a_finder_without_anatomy_is_another_one() -> None:
    recipe = FinderRecipe(None, "none", WithAnatomy().fingerprint, anatomy=True)
    with pytest.raises(ModelError, match="expected what finds regions to be the same as at the driver"):
        _open_finder(replace(recipe, anatomy=False), ())


def test_processes_keep_out_the_same_disc_and_macula(tmp_path: Path, owner: Owner) -> None:
    model = tiny_model(tmp_path)
    samples = write_samples(tmp_path / "eyes", count=3, width=160, height=160)
    outs: list[dict[str, bytes]] = []
    for engine in (None, process_engine([model], workers=2)):
        run = local_run(samples.images, tmp_path / f"out{len(outs)}", owner, model, finder=WithAnatomy())
        result = run_release(run if engine is None else replace(run, engine=engine))
        assert result.summary.marked == 3
        outs.append(images_of(run.release))
    assert outs[0] == outs[1]
