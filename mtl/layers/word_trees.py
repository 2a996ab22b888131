"""Binary trees over the words of a vocabulary, for the hierarchical softmax.

A tree over V words has V − 1 inner nodes, 0 to V − 2; node 0 is the root, and parents come before
their children. The leaf of word w is node V − 1 + w. All functions return the place of each node,
`[2V − 1]` int64: twice its parent, plus one for the right child. The place of the root is 0.
"""

from __future__ import annotations

import heapq

import torch
from torch import Tensor

_DIMENSIONS = 50
"""Width of the vectors of contexts."""
_ITERATIONS = 5
"""Steps of the power iteration for the direction in which a set of words is divided."""


def balanced_tree(order: Tensor) -> Tensor:
    """Return the places of a balanced tree, whose leaves from left to right are some words.

    In a random order, this is the random tree of Mnih & Hinton (2008).

    Args:
        order: `[V]`, every word id once.
    """
    leaves = order.tolist()
    words = len(leaves)
    places = [0] * (2 * words - 1)
    nodes = 0
    pending = [(0, 0, words)] if words > 1 else []
    for place, start, end in pending:  # grows: breadth first, so parents come before children
        middle = (start + end + 1) // 2
        node, nodes = nodes, nodes + 1
        if node:
            places[node] = place
        for side, (left, right) in enumerate(((start, middle), (middle, end))):
            if right - left == 1:
                places[words - 1 + leaves[left]] = 2 * node + side
            else:
                pending.append((2 * node + side, left, right))
    return torch.tensor(places)


def huffman_tree(counts: Tensor) -> Tensor:
    """Return the places of a Huffman tree (Huffman 1952), in which frequent words are near the top.

    Its mean depth Σ p(w) · depth(w) is the smallest of all binary trees (Mikolov et al. 2013).

    Args:
        counts: `[V]`, the frequency of each word.
    """
    words = len(counts)
    places = [0] * (2 * words - 1)
    heap = [(count, words - 1 + word) for word, count in enumerate(counts.tolist())]
    heapq.heapify(heap)
    for node in range(words - 2, -1, -1):  # the root comes last
        (right, low), (left, high) = heapq.heappop(heap), heapq.heappop(heap)
        places[high], places[low] = 2 * node, 2 * node + 1
        heapq.heappush(heap, (left + right, node))
    return torch.tensor(places)


def clustered_tree(vectors: Tensor) -> Tensor:
    """Return the places of a balanced tree in which similar words are near each other.

    Each set of words is divided at the median of its first principal component. Mnih & Hinton
    (2008) divide it by a mixture of two Gaussians.

    Args:
        vectors: `[V, D]`, a vector of each word.
    """
    order = torch.arange(len(vectors))
    pending = [(0, len(vectors))]
    for start, end in pending:
        if end - start > 2:
            words = order[start:end]
            order[start:end] = words[_first_component(vectors[words]).argsort()]
            middle = (start + end + 1) // 2  # as in `balanced_tree`
            pending += [(start, middle), (middle, end)]
    return balanced_tree(order)


def context_vectors(text: Tensor, num_words: int) -> Tensor:
    """Return a vector of the neighbours of each word, `[V, 100]`.

    Each word has a fixed random mark. The vector of a word has two parts: the mean mark of the
    words before it, and of the words after it, each minus the mean over the text (random indexing,
    Kanerva et al. 2000). It needs no trained model.

    Args:
        text: `[M]`, the word ids of a text in their order.
        num_words: The number of words V.
    """
    generator = torch.Generator().manual_seed(1)
    marks = torch.randn(num_words, _DIMENSIONS, generator=generator)
    sides = []
    for words, neighbours in ((text[1:], text[:-1]), (text[:-1], text[1:])):
        total = torch.zeros(num_words, _DIMENSIONS).index_add_(0, words, marks[neighbours])
        # One more neighbour of the mean, so that rare words are not at the edge by chance.
        mean = marks[neighbours].mean(0)
        number = torch.bincount(words, minlength=num_words).unsqueeze(1)
        sides.append((total + mean) / (number + 1) - mean)
    return torch.cat(sides, dim=1)


def _first_component(x: Tensor) -> Tensor:
    """Return the first principal component of each row, `[n]`, up to its sign."""
    centred = x - x.mean(0)
    direction = centred[centred.square().sum(1).argmax()]
    for _ in range(_ITERATIONS):
        direction = torch.nn.functional.normalize(centred.T @ (centred @ direction), dim=0)
    return centred @ direction
