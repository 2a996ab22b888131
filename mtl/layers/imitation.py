"""The loss of a student that imitates the probabilities of a teacher. Letters: K labels."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional


def imitation_loss(scores: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Return T² · KL(p ‖ q) at temperature T (Hinton et al. 2015).

    p = softmax(teacher / T), q = softmax(scores / T). For T → ∞ the loss is half the mean squared
    distance of the centred logits, ½ mean_k (Δ_k)², the loss of Tang et al. (2019) but for a
    constant factor. Both losses are zero if the student gives the probabilities of the teacher.

    Args:
        scores: The logits or log-probabilities of the student, `[..., K]`.
        teacher: The log-probabilities of the teacher, `[..., K]`.
        temperature: T, above 0; `math.inf` for the squared distance.

    Returns:
        The loss of each row in nats, `[...]`.
    """
    if math.isinf(temperature):
        difference = scores - teacher
        return (difference - difference.mean(-1, keepdim=True)).square().mean(-1) / 2
    log_p = (teacher / temperature).log_softmax(-1)
    log_q = (scores / temperature).log_softmax(-1)
    divergence = functional.kl_div(log_q, log_p, reduction="none", log_target=True).sum(-1)
    # Gradients shrink with 1 / T², so that the factor keeps the balance with gold labels.
    return torch.clamp(divergence, min=0) * temperature**2
