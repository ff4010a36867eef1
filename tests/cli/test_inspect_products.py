from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medlocker.logo import LearnedLogo, builtin_logo, pack_overlay
from medlocker.prepare import write_learned
from onnx_models import make_segmenter
from runs import Shell


@pytest.fixture
def shell(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(capfd, monkeypatch)


def test_a_learned_logo_and_a_segmenter_are_told(shell: Shell, tmp_path: Path) -> None:
    texture = pack_overlay(np.ones((2, 2, 3), np.int8))
    write_learned(LearnedLogo(builtin_logo(), {"*": texture}, 9, False, {"images": 3}), tmp_path / "learned")
    seen = shell("inspect", "learned", "--json", cwd=tmp_path).json
    assert (seen["what"], seen["images"], seen["classes"]) == ("learned logo", 3, ["*"])
    make_segmenter(tmp_path / "segmenter.onnx")
    seen = shell("inspect", "segmenter.onnx", "--json", cwd=tmp_path).json
    assert seen["what"] == "lesion segmenter"
    assert seen["source"].startswith("segmenter:")
