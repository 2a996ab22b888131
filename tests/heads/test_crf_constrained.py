"""A CRF over well-formed sequences alone."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mtl.heads import CRFTagger
from mtl.text.spans import PREFIXES, SCHEMES, Scheme, malformed

schemes = pytest.mark.parametrize("scheme", SCHEMES)


def tags(scheme: Scheme) -> list[str]:
    return ["O", *(f"{prefix}-{kind}" for kind in "XY" for prefix in PREFIXES[scheme])]


def made(scheme: Scheme) -> CRFTagger:
    """A head whose scores are its hidden states."""
    labels = tags(scheme)
    head = CRFTagger(len(labels), labels, scheme=scheme, constrained=True).double().eval()
    head.output.load_state_dict(
        {"weight": torch.eye(len(labels)), "bias": torch.zeros(len(labels))}
    )
    return head


@given(st.sampled_from(SCHEMES), st.integers(0, 99), st.integers(1, 8), st.sampled_from([1, 1e4]))
def test_no_malformed_sequence_is_ever_given(
    scheme: Scheme, seed: int, length: int, scale: float
) -> None:
    head, random = made(scheme), torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in head.crf.parameters():
            parameter.copy_(9 * torch.randn(parameter.shape, generator=random))
    hidden = scale * torch.randn(3, length, len(head.labels), generator=random).double()
    mask = torch.arange(length) < torch.tensor([[length], [1], [0]])
    for path, real in zip(head.decode(hidden, mask), mask, strict=True):
        assert not malformed([head.labels[i] for i in path[real]], scheme)


@schemes
def test_well_formed_sequences_have_all_the_probability(scheme: Scheme) -> None:
    head, mask = made(scheme), torch.ones(1, 3, dtype=torch.bool)
    hidden = torch.randn(1, 3, len(head.labels)).double()
    paths = torch.tensor(list(product(range(len(head.labels)), repeat=3)))
    good = [not malformed([head.labels[i] for i in path], scheme) for path in paths]
    losses = head.loss(hidden.expand(len(paths), -1, -1), mask.expand(len(paths), -1), paths)
    assert losses.isfinite().tolist() == good
    assert losses.neg().exp().sum().item() == pytest.approx(1)


@schemes
def test_forbidden_steps_are_not_trained(scheme: Scheme) -> None:
    head = made(scheme)
    target = torch.zeros(2, 4, dtype=torch.long)
    mask = torch.ones(2, 4, dtype=torch.bool)
    head.loss(torch.randn(2, 4, len(head.labels)).double(), mask, target).sum().backward()
    assert head.crf.transitions.grad is not None
    assert not head.crf.transitions.grad[head.crf.forbidden_transitions].any()
    assert head.crf.transitions.grad[~head.crf.forbidden_transitions].all()


def test_the_weights_are_those_of_a_crf_without_constraints() -> None:
    plain = CRFTagger(9, tags("iobes"))
    made("iobes").load_state_dict(plain.state_dict())


def test_labels_without_a_scheme_cannot_be_constrained() -> None:
    with pytest.raises(ValueError, match="constrained: the labels have no tagging scheme"):
        CRFTagger(3, ["NOUN", "VERB"], constrained=True)


def test_smoothed_labels_cannot_be_constrained() -> None:
    with pytest.raises(ValueError, match="constrained: label_smoothing gives every label"):
        CRFTagger(3, tags("bio"), scheme="bio", constrained=True, label_smoothing=0.1)
