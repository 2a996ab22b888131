"""The discriminator of professor forcing against the formula in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mtl.layers.state_discriminator import StateDiscriminator

H, K = 3, 4


def made(weight: float = 0.7) -> StateDiscriminator:
    torch.manual_seed(4)
    return StateDiscriminator(H, K, weight).double()


def states(*lengths: int, seed: int = 1, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    hidden = torch.randn(len(lengths), max(lengths), H, dtype=torch.float64, generator=draw)
    mask = torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)
    return hidden + shift, mask


def last_state(gru: nn.GRU, rows: Tensor) -> np.ndarray:
    """The last state of a GRU, by the equations of Cho et al. 2014 as torch documents them."""
    w, u, b, c = (own.detach().numpy() for own in gru.parameters())
    state = np.zeros(K)
    for x in rows.numpy():
        of_input, of_state = np.split(w @ x + b, 3), np.split(u @ state + c, 3)
        reset, update = (
            1 / (1 + np.exp(-one - two))
            for one, two in zip(of_input[:2], of_state[:2], strict=True)
        )
        new = np.tanh(of_input[2] + reset * of_state[2])
        state = (1 - update) * new + update * state
    return state


def logit(model: StateDiscriminator, rows: Tensor) -> float:
    both = [last_state(model.forwards, rows), last_state(model.backwards, rows.flip(0))]
    weight, bias = (own.detach().numpy() for own in model.hidden.parameters())
    hidden = np.maximum(weight @ np.concatenate(both) + bias, 0)
    weight, bias = (own.detach().numpy() for own in model.output.parameters())
    return float(weight[0] @ hidden + bias[0])


def test_logits_are_the_formula_and_padding_has_no_influence() -> None:
    model = made()
    hidden, mask = states(5, 2, 4)
    expected = [logit(model, rows[own]) for rows, own in zip(hidden, mask, strict=True)]
    assert model(hidden, mask).tolist() == pytest.approx(expected, rel=1e-12)
    other = hidden.masked_fill(~mask.unsqueeze(-1), 9.0)
    torch.testing.assert_close(model(other, mask), model(hidden, mask))


@pytest.mark.parametrize("bias", [-8.0, 0.0, 8.0])
def test_the_loss_has_the_terms_that_the_accuracy_allows(bias: float) -> None:
    """With a large bias, everything is taken for given or drawn: the accuracy is one half."""
    model = made()
    with torch.no_grad():
        model.output.bias.fill_(bias)
    (given, mask), (drawn, _) = states(4, 3, 2), states(4, 3, 2, seed=2)
    d_given, d_drawn = (
        [1 / (1 + np.exp(-logit(model, rows[own]))) for rows, own in zip(h, mask, strict=True)]
        for h in (given, drawn)
    )
    right = np.mean([*(d > 0.5 for d in d_given), *(d <= 0.5 for d in d_drawn)])
    expected = -np.mean(np.log(d_given)) - np.mean(np.log1p(-np.array(d_drawn)))
    if right > 0.75:
        expected -= 0.7 * np.mean(np.log(d_drawn))
    assert right < 0.99
    assert model.loss(given, drawn, mask).item() == pytest.approx(expected, rel=1e-9)


def separated() -> tuple[StateDiscriminator, Tensor, Tensor, Tensor]:
    """A discriminator that is right on 7 of 8 chunks, so that both sides learn."""
    model = made()
    (given, mask), (drawn, _) = states(3, 3, 2, 3), states(3, 3, 2, 3, seed=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(300):
        optimizer.zero_grad()
        logits = torch.cat([model(given, mask), model(drawn, mask)])
        labels = torch.tensor([1.0, 1, 1, 0, 0, 0, 0, 0], dtype=torch.float64)
        nn.functional.binary_cross_entropy_with_logits(logits, labels).backward()
        optimizer.step()
    model.zero_grad()
    return model, given, drawn, mask


def test_each_side_learns_from_its_own_terms() -> None:
    model, given, drawn, mask = separated()
    given.requires_grad_(True)
    drawn.requires_grad_(True)
    model.loss(given, drawn, mask).backward()
    assert given.grad is None
    ours = [own.grad.clone() for own in model.parameters() if own.grad is not None]
    of_given, of_drawn = model(given.detach(), mask), model(drawn.detach(), mask)
    loss = -of_given.sigmoid().log().mean() - (1 - of_drawn.sigmoid()).log().mean()
    for found, expected in zip(ours, torch.autograd.grad(loss, [*model.parameters()]), strict=True):
        torch.testing.assert_close(found, expected)
    deceived = -0.7 * model(drawn, mask).sigmoid().log().mean()
    torch.testing.assert_close(drawn.grad, torch.autograd.grad(deceived, drawn)[0])
    assert all(own.requires_grad for own in model.parameters())


def test_a_discriminator_that_is_always_right_is_not_trained() -> None:
    model, given, _, mask = separated()
    drawn = given.clone().requires_grad_(True)
    model.enough, model.least = 0.4, 0.4  # equal states: the accuracy is one half
    model.loss(given, drawn, mask).backward()
    assert all(not own.grad.any() for own in model.parameters() if own.grad is not None)
    assert drawn.grad is not None
    assert drawn.grad.any()
