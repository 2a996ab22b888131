"""Hierarchical softmax. Letters: N tokens, H width, V words, P nodes on paths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.linear_cross_entropy import check_targets
from mtl.layers.next_word import NextWord
from mtl.layers.word_trees import balanced_tree


class HierarchicalSoftmax(NextWord):
    """A word is a path through a binary tree (Morin & Bengio 2005; Mnih & Hinton 2008).

    p(word | h) = Π_n σ(± (v_n · h + b_n)) over the inner nodes n on the path to the word, with +
    where the path turns left. A loss costs about log₂ V products of width H instead of V.

    The tree is a buffer that is saved with the weights; see `mtl.layers.word_trees`.

    Args:
        in_features: Width H of the hidden states.
        num_words: The number of words V.
        places: The places of the nodes, `[2V − 1]`; None: a balanced tree over words in random
            order.
    """

    places: Tensor

    def __init__(self, in_features: int, num_words: int, places: Tensor | None = None) -> None:
        super().__init__(in_features, num_words)
        if places is None:
            # On the CPU also if modules are made on another device: the tree is made node by node.
            places = balanced_tree(torch.randperm(num_words, device="cpu"))
        self.register_buffer("places", places)
        self.weight = nn.Parameter(torch.empty(num_words - 1, in_features))
        self.bias = nn.Parameter(torch.zeros(num_words - 1))
        bound = in_features**-0.5
        nn.init.uniform_(self.weight, -bound, bound) if num_words > 1 else None

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        """Return −log p(target) of each token in nats, `[N]`."""
        check_targets(targets, self.num_words)
        tokens, nodes, signs = self._paths(targets)
        vectors = functional.embedding(nodes, self.weight)
        scores = (functional.embedding(tokens, hidden) * vectors).sum(1) + self.bias[nodes]
        losses = functional.softplus(-signs * scores)
        return hidden.new_zeros(len(hidden)).index_add(0, tokens, losses)

    def log_probs(self, hidden: Tensor) -> Tensor:
        """Return log p of all words, `[N, V]`."""
        scores = functional.linear(hidden, self.weight, self.bias).T  # [V − 1, N]
        # Rows 2n and 2n + 1 are the left and right turn at node n.
        turns = torch.stack([functional.logsigmoid(scores), functional.logsigmoid(-scores)], dim=1)
        turns = turns.flatten(0, 1)
        words = torch.arange(self.num_words, device=hidden.device)
        log_probs = hidden.new_zeros(self.num_words, len(hidden))
        node = self.num_words - 1 + words
        while len(words):
            words, node = words[node > 0], node[node > 0]
            place = self.places[node]
            log_probs = log_probs.index_add(0, words, turns[place])
            node = place // 2
        return log_probs.T

    def rows(self) -> Mapping[str, Sequence[int]]:
        """Return nothing: rows stand for nodes of the tree, not for words."""
        return {}

    def _paths(self, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the tokens, nodes and signs of all steps on the paths to the targets, `[P]`."""
        tokens = torch.arange(len(targets), device=targets.device)
        node = self.num_words - 1 + targets
        steps = []
        while True:
            tokens, node = tokens[node > 0], node[node > 0]
            if not len(tokens):
                break
            place = self.places[node]
            node = place // 2
            steps.append((tokens, node, 1 - 2 * (place % 2)))
        if not steps:
            return tokens, node, node
        each = [torch.cat(parts) for parts in zip(*steps, strict=True)]
        return each[0], each[1], each[2]
