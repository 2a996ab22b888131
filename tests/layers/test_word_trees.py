"""Trees over words: every tree is one tree, and each kind has its property."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from mtl.layers.word_trees import balanced_tree, clustered_tree, context_vectors, huffman_tree


def depths(places: Tensor) -> list[int]:
    """The number of turns on the path to each word, by climbing from its leaf."""
    words = (len(places) + 1) // 2
    found = []
    for node in range(words - 1, 2 * words - 1):
        depth = 0
        while node:
            parent = int(places[node]) // 2
            assert parent < words - 1
            assert parent < node
            node, depth = parent, depth + 1
        found.append(depth)
    return found


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12))
def test_every_inner_node_has_two_children(counts: list[int]) -> None:
    words = len(counts)
    vectors = torch.randn(words, 3)
    trees = [balanced_tree(torch.randperm(words)), huffman_tree(torch.tensor(counts))]
    for places in (*trees, clustered_tree(vectors)):
        assert sorted(places[1:].tolist()) == list(range(2 * words - 2))
        assert sum(2.0**-depth for depth in depths(places)) == 1  # Kraft's equality


@given(st.integers(1, 40))
def test_a_balanced_tree_has_equal_depths(words: int) -> None:
    found = depths(balanced_tree(torch.randperm(words)))
    assert max(found) == (words - 1).bit_length()
    assert max(found) - min(found) <= 1


def least_cost(counts: tuple[int, ...]) -> int:
    """The smallest Σ count · depth, by trying all pairs to merge."""
    if len(counts) == 1:
        return 0
    costs = []
    for i in range(len(counts)):
        for j in range(i):
            rest = [count for k, count in enumerate(counts) if k not in (i, j)]
            costs.append(counts[i] + counts[j] + least_cost((*rest, counts[i] + counts[j])))
    return min(costs)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_a_huffman_tree_has_the_least_mean_depth(counts: list[int]) -> None:
    found = depths(huffman_tree(torch.tensor(counts)))
    cost = sum(count * depth for count, depth in zip(counts, found, strict=True))
    assert cost == least_cost(tuple(counts))


def test_frequent_words_are_not_deeper() -> None:
    counts = torch.tensor([100, 50, 20, 9, 5, 3, 1])
    assert all(first <= second for first, second in pairwise(depths(huffman_tree(counts))))


@pytest.mark.parametrize("seed", range(5))
def test_similar_words_share_the_path_from_the_root(seed: int) -> None:
    centres = torch.tensor([[9.0, 0], [-9, 0], [9, 5], [-9, 5]]).repeat(4, 1)
    torch.manual_seed(seed)
    places = clustered_tree(centres + 0.1 * torch.randn(16, 2))
    groups = {}
    for word in range(16):
        node, path = 15 + word, []
        while node:
            path.append(int(places[node]))
            node = int(places[node]) // 2
        groups.setdefault(tuple(path[-2:]), set()).add(word % 4)
    assert sorted(map(len, groups.values())) == [1, 1, 1, 1]


def test_context_vectors_are_means_over_neighbours() -> None:
    """Words 1 and 2 have the same neighbours, 0 before and 3 after; word 4 does not occur."""
    text = torch.tensor([0, 1, 3, 0, 2, 3, 0, 1, 3, 0, 2, 3])
    vectors = context_vectors(text, 5)
    torch.testing.assert_close(vectors[1], vectors[2])
    assert not torch.allclose(vectors[0], vectors[3])
    assert not vectors[4].any()
