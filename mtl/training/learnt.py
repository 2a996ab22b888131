"""The learned quantities of a run, for the log."""

from __future__ import annotations

import torch

from mtl.data.mixing import Sampler
from mtl.sharing.base import Sharing
from mtl.training.events import Learnt
from mtl.weighting.base import Weighting


def learned_quantities(
    sharing: Sharing, weighting: Weighting, sampler: Sampler, epoch: int
) -> dict[str, Learnt]:
    """Return the learned quantities of an epoch by name, as `Epoch` holds them.

    Args:
        sharing: The sharing of the model.
        weighting: The weighting.
        sampler: The sampler, whose shares of corpora may depend on scores.
        epoch: The epoch, from 0.
    """
    parts: dict[str, Sharing | Weighting] = {"sharing": sharing, "weighting": weighting}
    quantities = {
        f"{kind}.{name}": Learnt(values.detach().cpu().clone(), part.axes().get(name, ()))
        for kind, part in parts.items()
        for name, values in part.learnt().items()
    }
    if sampler.mixing.needs_scores:
        draws = sampler.counts(epoch)
        shares = torch.tensor([*draws.values()]) / sum(draws.values())
        quantities["mixing.shares"] = Learnt(shares, (list(draws),))
    return quantities
