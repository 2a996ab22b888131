"""Imitation of the hidden states of teachers. Letters: B sentences, T tokens, H, D widths."""

from __future__ import annotations

from torch import Tensor, nn


class StateProjection(nn.Module):
    """A map from hidden states to the hidden states of teachers, and its squared distance.

    The loss of a token is weight · ‖W h + b − t‖², as in FitNets (Romero et al. 2015) and TinyBERT
    (Jiao et al. 2020), where h is the state of the student and t of the teacher. It serves
    training alone.

    Args:
        in_features: Width H of the student.
        out_features: Width D of the teachers.
        weight: The factor of the distance.
    """

    def __init__(self, in_features: int, out_features: int, weight: float = 1.0) -> None:
        super().__init__()
        self.weight = weight
        self.map = nn.Linear(in_features, out_features)

    def forward(self, hidden: Tensor, states: Tensor, mask: Tensor) -> Tensor:
        """Return the sum of the losses of all tokens, a scalar.

        Args:
            hidden: `[B, T, H]`.
            states: `[B, T, D]`.
            mask: `[B, T]` bool, True on real tokens.
        """
        predicted: Tensor = self.map(hidden[mask].to(states.dtype))
        return self.weight * (predicted - states[mask]).square().sum()
