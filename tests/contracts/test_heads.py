"""Contracts of all heads."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor

from mtl.heads import HEADS, ConstrainedTagger, Head, LabelSet, Number
from mtl.heads.lm import BANDED
from mtl.text.spans import malformed
from tests.contracts.variants import (
    OfNumbers,
    Variant,
    over,
    prefix_mask,
    shaken,
    variants,
    widened,
    with_forms,
    with_garbage,
)

ATTENTION = ["additive", "concat", "multiplicative", "scaled", "key_value", "multi_head"]
TRAINED = {"label_smoothing": 0.1, "class_weights": {"O": 0.5}}
OPTIONS = {
    "softmax": [
        {},
        {"hidden_size": 4},
        *({"attention": name} for name in ATTENTION),
        {"attention": "key_value", "values_alone": True},
        {"attention": "multi_head", "look_back": True},
    ],
    "constrained": [
        {},
        {"scheme": "bio"},
        {"rules": ({"at_least": 1, "labels": ("O",)},)},
        {"attention": "key_value", "window": 2},
    ],
    "crf": [
        {},
        {"hidden_size": 4},
        {"scheme": "bio", "constrained": True},
        {"attention": "multi_head"},
        {**TRAINED},
        {"transitions": "input", "rank": 2},
        {"transitions": "input", "scheme": "bio", "constrained": True},
        {"rules": ({"at_least": 1, "labels": "O"},)},
    ],
    "memm": [{}, {"hidden_size": 4}],
    "cnn": [
        {},
        {"widths": (1, 2), "maps": 6},
        {"widths": (1, 2), "maps": 6, "k": 3},
        {"widths": (1, 2), "maps": 6, "pooling": "mean"},
        {"widths": (1, 2), "maps": 6, "batch_norm": True},
    ],
    "deep_cnn": [
        {"layers": (1, 2), "maps": 8, "k": 2},
        {"layers": (1, 2), "widths": (2, 3), "maps": 8, "pool": 3, "batch_norm": False},
        {"layers": (1,), "maps": 16, "doubling": False, "hidden_size": 16, "batch_norm": False},
    ],
    "pool": [
        {"pooling": "mean"},
        {"pooling": "max"},
        {"pooling": "last"},
        {"pooling": "sum"},
        {"pooling": "concat"},
        {"attention": "additive"},
        {"attention": "key_value", "pooling": "last"},
    ],
    "attention": [
        {"score": s, "dropout": 0.1} for s in ("additive", "concat", "multiplicative", "scaled")
    ]
    + [{"hops": 3, "penalty": 0.1}],
    "hierarchical": [{"block": 3}, {"block": 2, "size": 4}],
    "domain": [{}, {"pooling": "max", "strength": 0.1}],
    "domain_distance": [{}, {"distance": "coral", "pooling": "max"}],
    "lm": [
        {"output": name, "dropout": 0.1}
        for name in ("tied", "full", "mos", "adaptive", "tied_adaptive", "differentiated", "cnn")
    ]
    + [{"output": "hierarchical", "tree": tree} for tree in ("random", "huffman", "clustered")]
    + [
        {"training_loss": loss, "samples": 2, "dropout": 0.1}
        for loss in ("importance", "adaptive_importance", "targets", "nce")
    ]
    + [
        {"training_loss": "self_normalised", "normalised": 0.5},
        {"ahead": 2},
        {"activation": 2.0, "temporal": 1.0, "dropout": 0.1},
    ]
    + [{"attention": name, "window": 2, "dropout": 0.1} for name in ("key_value", "additive")],
}
LABELS = ["O", "B-X", "I-X"]
WIDTH = 5
LENGTHS = [4, 1, 3, 0]
ALL = with_forms(variants(HEADS, OPTIONS))
heads = over(ALL)
of_labels = over([v for v in ALL if not isinstance(v, OfNumbers)])
of_single_labels = over(variants(HEADS, OPTIONS))
# Clusters and bands of words need two words.
of_one = over([v for v in variants(HEADS, OPTIONS) if v.option("output") not in BANDED])
sentence_heads = over([v for v in ALL if v.cls.level == "sentence"])
# Of a distance between domains, which is of the batch, see tests/heads/test_domain_distance.py.
of_sentences = over([v for v in ALL if v.name != "domain_distance"])
taggers = over([v for v in variants(HEADS, OPTIONS) if v.cls.level == "token"])


def made(variant: Variant) -> Head:
    return shaken(variant.make(WIDTH, LABELS))


def text() -> tuple[Tensor, Tensor]:
    """Hidden states and mask of a batch with sentences of several lengths, one empty."""
    return torch.randn(len(LENGTHS), max(LENGTHS), WIDTH).double(), prefix_mask(LENGTHS)


def some_target(head: Head, mask: Tensor) -> Tensor:
    """Labels that no scheme forbids: O and B-X alone; sets of all labels; numbers."""
    objective = getattr(head, "objective", None)
    if isinstance(objective, Number):
        return torch.randn(len(mask)).double()
    if isinstance(objective, LabelSet):
        first = torch.randint(2, mask.shape[:1]).double()
        return torch.stack([first, 1 - first, first], dim=1)
    shape = mask.shape if head.level == "token" else mask.shape[:1]
    return torch.randint(2, shape)


def every_target(head: Head, length: int) -> Tensor:
    """All labellings of a sentence, one per row: `[N, T]`; classifiers `[N]`; sets `[N, K]`."""
    if isinstance(getattr(head, "objective", None), LabelSet):
        return torch.tensor(list(product([0.0, 1.0], repeat=len(LABELS)))).double()
    repeat = length if head.level == "token" else 1
    found = torch.tensor(list(product(range(len(LABELS)), repeat=repeat)), dtype=torch.long)
    return found if head.level == "token" else found.squeeze(1)


def every_loss(head: Head, hidden: Tensor, length: int) -> tuple[Tensor, Tensor]:
    """All labellings of the first sentence, cut to a length, with the loss of each."""
    targets = every_target(head, length)
    copies = hidden[:1, :length].expand(len(targets), -1, -1)
    return targets, head.loss(copies, prefix_mask([length] * len(targets)), targets)


def allowed(variant: Variant, targets: Tensor) -> Tensor:
    """Which labellings the head may give: all, unless it obeys a scheme or the rule of OPTIONS."""
    if variant.option("rules"):
        return (targets == LABELS.index("O")).any(1)
    if variant.cls is not ConstrainedTagger or not (scheme := variant.option("scheme")):
        return torch.ones(len(targets), dtype=torch.bool)
    return torch.tensor([not malformed([LABELS[i] for i in row], scheme) for row in targets])


@heads
def test_every_sentence_has_a_finite_loss_from_zero(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    loss = head.loss(hidden, mask, some_target(head, mask))
    assert loss.shape == (len(LENGTHS),)
    assert loss.isfinite().all()
    assert (loss >= 0).all()


@heads
def test_padding_changes_nothing(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    target = some_target(head, mask)
    other, longer = with_garbage(hidden, mask, more=2), widened(mask, 2)
    padded = widened(target, 2) if head.level == "token" else target
    torch.testing.assert_close(head.loss(other, longer, padded), head.loss(hidden, mask, target))
    for call in (head.decode, head.log_probs):
        changed = call(other, longer)
        same = changed[:, : mask.shape[1]] if head.level == "token" else changed
        torch.testing.assert_close(same, call(hidden, mask))


@taggers
def test_targets_on_padding_are_ignored(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    target = some_target(head, mask)
    other = target.masked_fill(~mask, -1)
    assert torch.equal(head.loss(hidden, mask, other), head.loss(hidden, mask, target))


@heads
def test_neighbours_change_nothing(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    target = some_target(head, mask)
    for row, length in enumerate(LENGTHS):
        alone = slice(row, row + 1), slice(0, max(length, 1))
        own = target[alone] if head.level == "token" else target[alone[0]]
        loss = head.loss(hidden[alone], mask[alone], own)
        torch.testing.assert_close(loss, head.loss(hidden, mask, target)[alone[0]])


@heads
def test_the_order_of_sentences_changes_nothing(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    order = torch.tensor([2, 0, 3, 1])
    for call in (head.decode, head.log_probs):
        torch.testing.assert_close(call(hidden[order], mask[order]), call(hidden, mask)[order])


@taggers
def test_padding_has_label_and_log_probability_zero(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    assert not head.decode(hidden, mask)[~mask].any()
    assert not head.log_probs(hidden, mask)[~mask].any()


@of_single_labels
def test_probabilities_of_labels_sum_to_one(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    sums = head.log_probs(hidden, mask).exp().sum(-1)
    real = sums[mask] if head.level == "token" else sums
    torch.testing.assert_close(real, torch.ones_like(real))


@pytest.mark.sampled(3)
@of_labels
@pytest.mark.parametrize("length", [1, 2, 4])
def test_likelihoods_of_all_labellings_sum_to_one(variant: Variant, length: int) -> None:
    head, (hidden, _) = made(variant), text()
    _, losses = every_loss(head, hidden, length)
    assert losses.neg().exp().sum().item() == pytest.approx(1)


@pytest.mark.sampled(3)
@of_labels
@pytest.mark.parametrize("length", [1, 2, 4])
def test_the_labels_given_have_the_least_loss(variant: Variant, length: int) -> None:
    head, (hidden, mask) = made(variant), text()
    for _ in range(5):
        hidden = torch.randn_like(hidden)
        targets, losses = every_loss(head, hidden, length)
        best = losses.masked_fill(~allowed(variant, targets), torch.inf).argmin()
        decoded = head.decode(hidden[:1, :length], mask[:1, :length])
        assert torch.equal(decoded[0], targets[best])


@pytest.mark.sampled(3)
@of_labels
@pytest.mark.parametrize("length", [1, 2, 4])
def test_log_probabilities_are_sums_over_labellings(variant: Variant, length: int) -> None:
    head, (hidden, mask) = made(variant), text()
    targets, losses = every_loss(head, hidden, length)
    found = head.log_probs(hidden[:1, :length], mask[:1, :length])[0]
    if targets.is_floating_point():  # sets
        has_label = targets.bool()
    else:
        has_label = targets.unsqueeze(-1) == torch.arange(len(LABELS))  # [N, T, K] or [N, K]
    shape = (-1,) + (1,) * (has_label.ndim - 1)
    expected = (has_label * losses.neg().exp().reshape(shape)).sum(0)
    expected = expected.clamp(min=torch.finfo(expected.dtype).tiny).log()  # some are impossible
    torch.testing.assert_close(found, expected)


@of_sentences
def test_gradients_reach_the_input_and_every_parameter(variant: Variant) -> None:
    head, (hidden, mask) = made(variant).train(), text()
    hidden.requires_grad_()
    head.loss(hidden, mask, some_target(head, mask)).sum().backward()
    assert hidden.grad.isfinite().all()
    assert hidden.grad[:3].flatten(1).any(1).all()
    assert not hidden.grad[~mask].any()
    for name, parameter in head.named_parameters():
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.any(), name


@of_sentences
def test_huge_hidden_states_give_finite_results(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    large = (1e4 * hidden).requires_grad_()
    loss = head.loss(large, mask, some_target(head, mask))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert large.grad.isfinite().all()
    assert head.log_probs(large, mask).isfinite().all()


@heads
def test_weights_can_be_saved_and_loaded(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    again = made(variant)
    again.load_state_dict(load(save(head.state_dict())))
    torch.testing.assert_close(again.log_probs(hidden, mask), head.log_probs(hidden, mask))


@sentence_heads
def test_decoding_follows_from_the_evidence(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    evidence = head.evidence(hidden, mask)
    torch.testing.assert_close(head.conclude(evidence), head.decode(hidden, mask))
    assert len(head.named(head.decode(hidden, mask))) == len(mask)
    torch.testing.assert_close(head.log_probs_from(evidence), head.log_probs(hidden, mask))


@heads
def test_calls_are_deterministic_and_do_not_change_inputs(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    target = some_target(head, mask)
    before = [x.clone() for x in (hidden, mask, target)]
    calls = [head.loss, lambda h, m, _: head.decode(h, m), lambda h, m, _: head.log_probs(h, m)]
    for call in calls:
        assert torch.equal(call(hidden, mask, target), call(hidden, mask, target))
    assert all(torch.equal(x, old) for x, old in zip((hidden, mask, target), before, strict=True))


@heads
def test_inference_mode_gives_the_same(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    labels, log_probs = head.decode(hidden, mask), head.log_probs(hidden, mask)
    with torch.inference_mode():
        hidden, mask = hidden.clone(), mask.clone()
        assert torch.equal(head.decode(hidden, mask), labels)
        torch.testing.assert_close(head.log_probs(hidden, mask), log_probs.detach())


@of_one
def test_a_single_label_is_certain(variant: Variant) -> None:
    head, (hidden, mask) = shaken(variant.make(WIDTH, ["O"])), text()
    loss = head.loss(hidden, mask, some_target(head, mask) * 0)
    torch.testing.assert_close(loss, torch.zeros_like(loss))
    assert not head.decode(hidden, mask).any()


@heads
def test_hidden_states_of_another_width_are_an_error_with_the_shapes(variant: Variant) -> None:
    head, (hidden, mask) = made(variant), text()
    with pytest.raises(ValueError, match=rf"hidden: expected .*{WIDTH}\], got \[.*{WIDTH - 1}\]"):
        head.loss(hidden[..., :-1], mask, some_target(head, mask))


@of_single_labels
@pytest.mark.parametrize("label", [-2, 9])  # −1: a token without a label
def test_a_label_id_out_of_range_is_an_error_with_the_range(variant: Variant, label: int) -> None:
    head, (hidden, mask) = made(variant), text()
    target = some_target(head, mask)
    target[-1 if target.ndim == 1 else tuple(mask.nonzero()[-1])] = label
    message = rf"expected (label )?ids in \[0, {len(LABELS)}\), got .*{label}"
    with pytest.raises(ValueError, match=message):
        head.loss(hidden, mask, target)
