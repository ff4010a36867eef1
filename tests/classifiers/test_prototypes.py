from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from medlocker.classifiers._prototypes import SCALE, find_prototypes, spherical_kmeans
from medlocker.errors import ModelError


def groups(count: int, each: int, *, size: int = 20, noise: float = 0.05, seed: int = 0) -> NDArray[Any]:
    """Embeddings in well separated groups, one after the other, far from the origin."""
    rng = np.random.default_rng(seed)
    centres = np.eye(size)[:count] * 3 + 7
    return np.repeat(centres, each, axis=0) + rng.normal(scale=noise, size=(count * each, size))


def test_groups_are_found() -> None:
    embeddings = groups(5, 4)
    found = find_prototypes(embeddings, name="m")
    own = found.logits(embeddings).argmax(axis=1).reshape(5, 4)
    assert len(found.directions) == 5
    assert (own == own[:, :1]).all()
    assert len(set(own[:, 0].tolist())) == 5
    assert found.names == ("cluster 0", "cluster 1", "cluster 2", "cluster 3", "cluster 4")
    assert found.sample == 20


@pytest.mark.parametrize(("count", "clusters"), [(2, 2), (7, 7), (8, 2), (12, 3), (31, 7), (32, 8), (64, 8)])
def test_number_of_clusters(count: int, clusters: int) -> None:
    embeddings = np.random.default_rng(count).normal(size=(count, 16))
    assert len(find_prototypes(embeddings, name="m").directions) == clusters


def test_logits_are_cosines_from_the_mean() -> None:
    embeddings = groups(3, 1)
    found = find_prototypes(embeddings, name="m")
    others = np.random.default_rng(1).normal(size=(4, 20)).astype(np.float32) * 5
    apart, centres = others - embeddings.mean(axis=0), embeddings - embeddings.mean(axis=0)
    lengths = np.linalg.norm(apart, axis=1)[:, None] * np.linalg.norm(centres, axis=1)
    np.testing.assert_allclose(found.logits(others), SCALE * apart @ centres.T / lengths, atol=1e-4)
    # the mean itself has no direction
    assert abs(found.logits(embeddings.mean(axis=0)[None])).max() < 1e-6


@given(count=st.integers(2, 40), size=st.integers(2, 12), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_any_sample_is_clustered_the_same_again(count: int, size: int, seed: int) -> None:
    embeddings = np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)
    one, two = (find_prototypes(embeddings, name="m") for _ in range(2))
    np.testing.assert_array_equal(one.directions, two.directions)
    assert 2 <= len(one.directions) <= 8
    np.testing.assert_allclose(np.linalg.norm(one.directions, axis=1), 1)
    assert np.isfinite(one.logits(embeddings)).all()


def test_copies_are_one_cluster() -> None:
    embeddings = groups(3, 1)[[0, 1, 1, 2, 0]]
    assert len(find_prototypes(embeddings, name="m").directions) == 3
    many = np.repeat(groups(2, 1), 16, axis=0)
    assert len(find_prototypes(many, name="m").directions) == 2


@pytest.mark.parametrize("value", [0.0, 5.0])
def test_no_spread(value: float) -> None:
    embeddings = np.full((9, 4), value, np.float32)
    embeddings[0, 0] += value * 1e-6
    with pytest.raises(ModelError, match="model m: its embeddings of 9 images are all alike") as caught:
        find_prototypes(embeddings, name="m")
    assert "copies" in caught.value.hint


def test_kmeans_keeps_no_empty_cluster() -> None:
    units = np.repeat(np.eye(3), [5, 1, 1], axis=0)
    own = spherical_kmeans(units, 3)
    assert sorted(np.unique(own, return_counts=True)[1].tolist()) == [1, 1, 5]
