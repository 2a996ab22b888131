"""pytorch-crf is the oracle."""

from __future__ import annotations

import pytest
import torch
from torchcrf import CRF as TorchCRF

from mtl.layers import CRF

LENGTHS = [1, 2, 3, 4, 5]


def pair(labels: int = 4) -> tuple[CRF, TorchCRF]:
    """Our layer and theirs, with the same weights."""
    ours, theirs = CRF(labels).double(), TorchCRF(labels, batch_first=True).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def text(labels: int = 4) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mask = torch.arange(5) < torch.tensor(LENGTHS).unsqueeze(1)
    return torch.randn(5, 5, labels).double(), torch.randint(labels, (5, 5)), mask


def test_log_likelihoods_equal_those_of_pytorch_crf() -> None:
    (ours, theirs), (emissions, tags, mask) = pair(), text()
    expected = theirs(emissions, tags, mask, reduction="none")
    torch.testing.assert_close(ours(emissions, tags, mask), expected, rtol=1e-10, atol=1e-10)


def test_state_dicts_load_the_other_way_too() -> None:
    theirs, (emissions, tags, mask) = TorchCRF(4, batch_first=True).double(), text()
    ours = CRF(4).double()
    ours.load_state_dict(theirs.state_dict())
    expected = theirs(emissions, tags, mask, reduction="none")
    torch.testing.assert_close(ours(emissions, tags, mask), expected, rtol=1e-10, atol=1e-10)


def test_best_paths_equal_those_of_pytorch_crf() -> None:
    ours, theirs = pair()
    for _ in range(20):
        emissions, _, mask = text()
        paths = ours.decode(emissions, mask).tolist()
        cut = [path[:length] for path, length in zip(paths, LENGTHS, strict=True)]
        assert cut == theirs.decode(emissions, mask)


def test_gradients_equal_those_of_pytorch_crf() -> None:
    (ours, theirs), (emissions, tags, mask) = pair(), text()
    ours(emissions, tags, mask).sum().backward()
    theirs(emissions, tags, mask, reduction="sum").backward()
    for name, parameter in ours.named_parameters():
        expected = theirs.get_parameter(name).grad
        torch.testing.assert_close(parameter.grad, expected, rtol=1e-10, atol=1e-10)


def test_a_crf_without_labels_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_tags: expected at least 1, got 0"):
        CRF(0)
