"""A discriminator of two kinds of hidden states. Letters: B sentences, T tokens, H width."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.layers.sequence import last_real, reverse_padded


class StateDiscriminator(nn.Module):
    """Professor forcing (Lamb et al. 2016): whether a model reads given words or its own words.

    D(h) = σ(v · relu(U [g_forward; g_backward] + c) + b), where g are the last states of two GRUs
    that read the hidden states h of a chunk of text in both directions. With the states h of the
    given words and ĥ of words that the model has drawn, the loss is

    −ln D(h) − ln(1 − D(ĥ)) − λ · ln D(ĥ)

    as a mean over chunks. The first two terms train the discriminator alone, the third one the
    model alone. As in the paper, the discriminator is not trained while its accuracy on the batch
    is 99 % or more, and the model is not trained by it while this accuracy is 75 % or less.

    Args:
        in_features: Width H of the hidden states.
        hidden_size: Width of the GRUs and of the hidden layer.
        weight: λ.
    """

    enough = 0.99
    """Accuracy from which on the discriminator is not trained."""
    least = 0.75
    """Accuracy up to which the model is not trained."""

    def __init__(self, in_features: int, hidden_size: int, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.forwards = nn.GRU(in_features, hidden_size, batch_first=True)
        self.backwards = nn.GRU(in_features, hidden_size, batch_first=True)
        self.hidden = nn.Linear(2 * hidden_size, hidden_size)
        self.output = nn.Linear(hidden_size, 1)

    def forward(self, hidden: Tensor, mask: Tensor) -> Tensor:
        """Return the logit of D of each chunk, `[B]`.

        Args:
            hidden: `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
        """
        states = [
            last_real(self.forwards(hidden)[0], mask),
            last_real(self.backwards(reverse_padded(hidden, mask))[0], mask),
        ]
        logits: Tensor = self.output(self.hidden(torch.cat(states, dim=-1)).relu())
        return logits.squeeze(-1)

    def loss(self, given: Tensor, drawn: Tensor, mask: Tensor) -> Tensor:
        """Return the loss, a scalar; its gradient does not reach `given`.

        Args:
            given: h, `[B, T, H]`.
            drawn: ĥ, `[B, T, H]`.
            mask: `[B, T]` bool, True on real tokens, which come first.
        """
        of_given, of_drawn = self(given.detach(), mask), self(drawn.detach(), mask)
        right = torch.cat([of_given > 0, of_drawn <= 0]).float().mean()
        own = functional.softplus(-of_given).mean() + functional.softplus(of_drawn).mean()
        with _constant(self):
            deceived = functional.softplus(-self(drawn, mask)).mean()
        return (right < self.enough) * own + self.weight * (right > self.least) * deceived


@contextmanager
def _constant(module: nn.Module) -> Iterator[None]:
    """Compute without gradients for the parameters of a module within the context."""
    trained = [own for own in module.parameters() if own.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
