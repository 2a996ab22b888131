"""pytorch-crf is the oracle."""

from __future__ import annotations

from collections.abc import Callable

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


@pytest.mark.parametrize("reduction", ["none", "sum", "mean", "token_mean"])
def test_reductions_are_those_of_pytorch_crf(reduction: str) -> None:
    (ours, theirs), (emissions, tags, mask) = pair(), text()
    expected = theirs(emissions, tags, mask, reduction=reduction)
    torch.testing.assert_close(ours(emissions, tags, mask, reduction), expected)


def test_in_float32_they_agree_to_five_digits() -> None:
    (ours, theirs), (emissions, tags, mask) = pair(17), text(17)
    ours, theirs, emissions = ours.float(), theirs.float(), emissions.float()
    expected = theirs(emissions, tags, mask, reduction="none")
    torch.testing.assert_close(ours(emissions, tags, mask), expected, rtol=1e-5, atol=1e-5)


def test_without_a_mask_all_tokens_are_real() -> None:
    (ours, _), (emissions, tags, mask) = pair(), text()
    everywhere = torch.ones_like(mask)
    assert torch.equal(ours(emissions, tags), ours(emissions, tags, everywhere))
    assert torch.equal(ours.decode(emissions), ours.decode(emissions, everywhere))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_the_bits_are_computed_in_float32(dtype: torch.dtype) -> None:
    emissions, tags, mask = text()
    layer, half = CRF(4), emissions.to(dtype).requires_grad_()
    found = layer(half, tags, mask)
    assert torch.equal(found, layer(half.float(), tags, mask))
    found.sum().backward()
    assert half.grad.dtype == dtype


def test_n_best_scores_less_the_partition_are_probabilities() -> None:
    (ours, _), (emissions, _, mask) = pair(3), text(3)
    _, scores = ours.decode_n_best(emissions[:3], mask[:3], 27)
    logs = scores - ours.log_partition(emissions[:3], mask[:3]).unsqueeze(1)
    torch.testing.assert_close(logs.exp().sum(1), torch.ones(3).double())
    entropy = -torch.where(logs.isfinite(), logs.exp() * logs, 0).sum(1)
    torch.testing.assert_close(ours.entropy(emissions[:3], mask[:3]), entropy)


def test_padding_changes_nothing() -> None:
    (ours, _), (emissions, tags, mask) = pair(), text()
    other = torch.where(mask.unsqueeze(2), emissions, float("nan"))
    assert torch.equal(ours(emissions, tags, mask), ours(other, tags.where(mask, -100), mask))
    assert torch.equal(ours.decode(emissions, mask), ours.decode(other, mask))
    assert torch.equal(ours.marginals(emissions, mask), ours.marginals(other, mask))


# Dynamo makes an instance of every autograd function to find its methods.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_the_layer_compiles_in_one_graph_and_exports() -> None:
    (layer, _), (emissions, tags, mask) = pair(), text()
    emissions.requires_grad_()
    compiled = torch.compile(layer, fullgraph=True, dynamic=True, backend="aot_eager")
    values = [f(emissions, tags, mask) for f in (layer, compiled)]
    torch.testing.assert_close(*values)
    torch.testing.assert_close(*(torch.autograd.grad(v.sum(), emissions)[0] for v in values))
    with torch.no_grad():
        exported = torch.export.export(layer, (emissions, tags, mask))
        torch.testing.assert_close(exported.module()(emissions, tags, mask), values[0].detach())


def test_second_derivatives_are_refused() -> None:
    (layer, _), (emissions, tags, mask) = pair(), text()
    value = layer(emissions.requires_grad_(), tags, mask).sum()
    (gradient,) = torch.autograd.grad(value, emissions, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivatives"):
        gradient.sum().backward()


@pytest.mark.parametrize(
    "use",
    [
        lambda layer, emissions, tags, mask: layer(emissions, tags, mask),
        lambda layer, emissions, tags, mask: layer.log_partition(emissions, mask),
        lambda layer, emissions, tags, mask: layer.marginals(emissions, mask),
        lambda layer, emissions, tags, mask: layer.decode(emissions, mask),
        lambda layer, emissions, tags, mask: layer.decode_n_best(emissions, mask, 2),
        lambda layer, emissions, tags, mask: layer.entropy(emissions, mask),
    ],
)
def test_a_mask_that_is_no_prefix_is_an_error(use: Callable) -> None:
    (layer, _), (emissions, tags, mask) = pair(), text()
    mask[0, 3] = True
    with pytest.raises(ValueError, match="mask: expected the real tokens of a sentence first"):
        use(layer, emissions, tags, mask)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"emissions": torch.zeros(5, 5, 3)}, r"emissions: expected \[B, T, 4\], got \[5, 5, 3\]"),
        ({"mask": torch.ones(5, 4) > 0}, r"mask: expected bool \[5, 5\], got torch.bool \[5, 4\]"),
        ({"mask": torch.ones(5, 5)}, r"mask: expected bool \[5, 5\], got torch.float32"),
        ({"tags": torch.zeros(5, 4).long()}, r"tags: expected int64 .*, got torch.int64 \[5, 4\]"),
        ({"tags": torch.zeros(5, 5).int()}, r"int64 \[5, 5\] or bool \[5, 5, 4\], got .*int32"),
        ({"tags": torch.zeros(5, 5)}, r"tags: expected int64 .*, got torch.float32 \[5, 5\]"),
        ({"tags": torch.ones(5, 5) > 0}, r"bool \[5, 5, 4\], got torch.bool \[5, 5\]"),
        ({"reduction": "max"}, "reduction: expected one of .*, got 'max'"),
    ],
)
def test_what_does_not_fit_is_told(change: dict, message: str) -> None:
    emissions, tags, mask = text()
    with pytest.raises(ValueError, match=message):
        CRF(4).double()(**({"emissions": emissions, "tags": tags, "mask": mask} | change))


@pytest.mark.parametrize("label", [-1, 4])
def test_a_label_that_there_is_not_is_an_error(label: int) -> None:
    emissions, tags, mask = text()
    tags[1, 1] = label
    with pytest.raises(ValueError, match=r"tags: expected label ids in \[0, \d\), got "):
        CRF(4).double()(emissions, tags, mask)


def test_a_text_without_words_has_one_empty_path() -> None:
    layer, emissions = CRF(4), torch.zeros(2, 0, 4)
    assert layer.entropy(emissions).tolist() == [0, 0]
    assert layer.decode(emissions).tolist() == [[], []]
    paths, scores = layer.decode_n_best(emissions, None, 2)
    assert paths.tolist() == [[[], []]] * 2
    assert scores.tolist() == [[0, -torch.inf]] * 2


def test_no_path_is_more_than_sure() -> None:
    tags = torch.arange(20).unsqueeze(0) % 5
    emissions = 20.0 * torch.eye(5)[tags]
    assert all(CRF(5)(emissions, tags) <= 0 for _ in range(20))


def test_fewer_than_one_path_is_an_error() -> None:
    with pytest.raises(ValueError, match="n: expected at least 1, got 0"):
        CRF(2).decode_n_best(torch.zeros(1, 1, 2), None, 0)


def test_a_crf_without_labels_is_an_error() -> None:
    with pytest.raises(ValueError, match="num_tags: expected at least 1, got 0"):
        CRF(0)


def test_n_best_paths_and_partial_labels_need_no_mask() -> None:
    crf, emissions = CRF(3), torch.randn(2, 4, 3)
    mask, possible = torch.ones(2, 4, dtype=torch.bool), torch.rand(2, 4, 3) > 0.3
    best, score = crf.decode_n_best(emissions)
    assert torch.equal(best[:, 0], crf.decode(emissions))
    torch.testing.assert_close(score, crf.decode_n_best(emissions, mask, 2)[1][:, :1])
    possible[..., 0] = True
    torch.testing.assert_close(crf.log_prob_of(emissions, possible), crf(emissions, possible, mask))


def test_all_methods_check_the_mask() -> None:
    crf, emissions = CRF(3), torch.randn(2, 4, 3)
    with pytest.raises(ValueError, match=r"mask: expected bool \[2, 4\], got torch.float32"):
        crf.log_prob_of(emissions, emissions > 0, torch.ones(2, 4))


def test_it_prints_the_number_of_labels() -> None:
    assert repr(CRF(3)) == "CRF(num_tags=3)"
