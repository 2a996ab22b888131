"""Hierarchical attention classifier. Letters: B texts, T tokens, N blocks, H width, K labels."""

from __future__ import annotations

from typing import Unpack

from torch import Tensor
from torch.nn import functional

from mtl.heads.classifier import Classifier, ClassifierOptions
from mtl.heads.pairs import Labelling
from mtl.layers.attention import SelfAttentionPooling
from mtl.options import PositiveInt, Probability, complete


class HierarchicalClassifier(Classifier):
    """Attention over the tokens of each block, and over the blocks of a text (Yang et al. 2016).

    s_n = Σ_t a_t h_t for the tokens of block n, r = Σ_n b_n s_n, p(y | x) = softmax(W drop(r) + c),
    with a = softmax_t(uᵀ tanh(U h_t)) and b = softmax_n(vᵀ tanh(V s_n)).

    For long texts. A head knows no words, so blocks of equal length stand for the sentences of the
    paper, and the trunk stands for both of its encoders. The attention weights of a token are
    a_t b_n.

    Args:
        in_features: Width H of the hidden states.
        labels: The K label names, a `LabelSet`, a `Number`, or `Pairs` with such labels.
        block: Number of tokens of a block; the last block of a text may be shorter.
        size: Width of the inner layers.
        dropout: Dropout probability of r.
    """

    def __init__(
        self,
        in_features: int,
        labels: Labelling,
        *,
        block: PositiveInt = 20,
        size: PositiveInt = 100,
        dropout: Probability = 0.5,
        **options: Unpack[ClassifierOptions],
    ) -> None:
        options = complete(ClassifierOptions, options)
        super().__init__(in_features, labels, in_features, dropout, **options)
        self.block = block
        self.tokens = SelfAttentionPooling(in_features, size=size)
        self.blocks = SelfAttentionPooling(in_features, size=size)

    def sentence(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the vector of each text, `[B, H]`."""
        return self._attend(hidden, mask)[0]

    def attention_weights(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the weight of each token, `[B, 1, T]`, zero on padding."""
        _, of_tokens, of_blocks = self._attend(self.states(hidden, mask), mask)
        weights = (of_tokens * of_blocks.unsqueeze(2)).flatten(1)
        return weights[:, : mask.shape[1]].unsqueeze(1)

    def _attend(self, hidden: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the vectors `[B, H]`, the weights in blocks `[B, N, block]`, and `[B, N]`."""
        batch, length = mask.shape
        count = max(1, -(-length // self.block))
        more = count * self.block - length
        states = functional.pad(hidden, (0, 0, 0, more))
        states = states.reshape(batch * count, self.block, self.in_features)
        real = functional.pad(mask, (0, more)).reshape(batch * count, self.block)
        vectors, of_tokens = self.tokens(states, real)
        vectors = vectors.reshape(batch, count, self.in_features)
        whole, of_blocks = self.blocks(vectors, real.any(1).reshape(batch, count))
        return whole[:, 0], of_tokens.reshape(batch, count, self.block), of_blocks[:, 0]
