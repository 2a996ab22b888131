"""Label smoothing and class weights, which apply in training only."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch import Tensor

from mtl.heads import (
    HEADS,
    Classifier,
    ConstrainedTagger,
    CRFTagger,
    Number,
    PoolClassifier,
    SoftmaxTagger,
    Tagger,
)
from mtl.weighting import Uncertainty

LABELS = ["O", "B-X", "I-X"]
HIDDEN = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(1)).double()
MASK = torch.ones(1, 3, dtype=torch.bool)
TARGET = torch.tensor([[1, 2, 0]])
taggers = pytest.mark.parametrize("head", [SoftmaxTagger, ConstrainedTagger, CRFTagger])


def loss(head: Tagger, target: Tensor = TARGET) -> Tensor:
    return head.loss(HIDDEN.expand(len(target), -1, -1), MASK.expand(len(target), -1), target)


@taggers
def test_smoothing_mixes_the_loss_of_the_labels_with_the_mean_of_all(head: type[Tagger]) -> None:
    made = head(4, LABELS, dropout=0, label_smoothing=0.2).double()
    everything = torch.tensor(list(product(range(3), repeat=3)))
    expected = 0.8 * loss(made.eval()) + 0.2 * loss(made, everything).mean()
    torch.testing.assert_close(loss(made.train()), expected)


@pytest.mark.parametrize("head", [SoftmaxTagger, ConstrainedTagger])
def test_each_token_counts_for_the_weight_of_its_label(head: type[Tagger]) -> None:
    made = head(4, LABELS, dropout=0, class_weights={"O": 0.5, "I-X": 3}).double().train()
    own = -made.log_probs(HIDDEN, MASK)[0, [0, 1, 2], TARGET[0]]
    torch.testing.assert_close(loss(made).sum(), (own * torch.tensor([1, 3, 0.5])).sum())


def test_in_a_crf_a_sentence_counts_for_the_mean_weight_of_its_labels() -> None:
    made = CRFTagger(4, LABELS, dropout=0, class_weights={"O": 0.5, "I-X": 3}).double()
    torch.testing.assert_close(loss(made.train()), loss(made.eval()) * (1 + 3 + 0.5) / 3)


def test_a_crf_that_is_sure_has_losses_that_weightings_can_read() -> None:
    target, mask = torch.arange(20).unsqueeze(0) % 5, torch.ones(1, 20, dtype=torch.bool)
    hidden = (20.0 * torch.eye(5))[target].requires_grad_()
    for _ in range(20):
        made = CRFTagger(5, [*"abcde"], dropout=0).train()
        made.output.load_state_dict({"weight": torch.eye(5), "bias": torch.zeros(5)})
        own = made.loss(hidden, mask, target).mean()
        Uncertainty({"chunk": 1.0}).backward({"chunk": own}, [])
    assert hidden.grad.isfinite().all()


@taggers
def test_evaluation_knows_neither(head: type[Tagger]) -> None:
    options = {"label_smoothing": 0.2, "class_weights": {"O": 9}}
    plain, made = head(4, LABELS).double().eval(), head(4, LABELS, **options).double().eval()
    made.load_state_dict(plain.state_dict())
    assert torch.equal(loss(made), loss(plain))


@taggers
@pytest.mark.parametrize("options", [{"label_smoothing": 0.2}, {"class_weights": {"O": 9}}])
def test_padding_changes_nothing_in_training_either(head: type[Tagger], options: dict) -> None:
    made = head(4, LABELS, dropout=0, **options).double().train()
    longer = torch.cat([HIDDEN, 9 * torch.ones_like(HIDDEN)], dim=1)
    mask, target = torch.arange(6).unsqueeze(0) < 3, torch.cat([TARGET, TARGET - 3], dim=1)
    torch.testing.assert_close(made.loss(longer, mask, target), loss(made))


@taggers
def test_weights_of_labels_that_there_are_not_are_an_error(head: type[Tagger]) -> None:
    with pytest.raises(ValueError, match="class_weights: unknown label 'B-Y'; did you mean"):
        head(4, LABELS, class_weights={"B-Y": 2})


SOFTMAX = [SoftmaxTagger, ConstrainedTagger, PoolClassifier]


@pytest.mark.parametrize("head", SOFTMAX)
@pytest.mark.parametrize("options", [{}, {"class_weights": {"O": 0.5, "I-X": 3}}], ids=str)
def test_right_answers_count_less_with_a_focal_loss(head: type, options: dict) -> None:
    """Eq. 4 of Lin et al. (2017), with their α as the weight of a class: −α (1 − p)^γ ln p."""
    made = head(4, LABELS, dropout=0, focal=2.0, **options).double().train()
    token = head is not PoolClassifier
    p = made.log_probs(HIDDEN, MASK).exp().reshape(-1, 3)
    gold = TARGET[0] if token else torch.tensor([1])
    p = p[torch.arange(len(gold)), gold]
    weight = torch.tensor([0.5, 1, 3] if options else [1.0, 1, 1])[gold]
    expected = -(weight * (1 - p) ** 2 * p.log()).sum()
    found = made.loss(HIDDEN, MASK, TARGET if token else gold)
    torch.testing.assert_close(found.sum(), expected)
    made.eval()
    torch.testing.assert_close(
        made.loss(HIDDEN, MASK, TARGET if token else gold)[0], -p.log().sum()
    )


@pytest.mark.parametrize("focal", [0.3, 1.0, 2.0])
def test_the_gradient_of_a_focal_loss_is_right_and_finite_for_sure_answers(focal: float) -> None:
    made = PoolClassifier(4, LABELS, dropout=0, focal=focal).double().train()
    scores = torch.randn(5, 3, dtype=torch.double, requires_grad=True)
    target = torch.tensor([0, 1, 2, 0, 1])
    assert torch.autograd.gradcheck(lambda own: made.row_losses(own, target), (scores,))
    sure = torch.tensor([[90.0, 0.0, 0.0], [0.0, 0.0, 90.0]], requires_grad=True)
    made.row_losses(sure, torch.tensor([0, 0])).sum().backward()
    assert sure.grad.isfinite().all()


@pytest.mark.parametrize("head", [SoftmaxTagger, ConstrainedTagger])
def test_a_focal_loss_does_not_see_padding_or_missing_labels(head: type[Tagger]) -> None:
    made = head(4, LABELS, dropout=0, focal=2.0).double().train()
    longer = torch.cat([HIDDEN, 9 * torch.ones_like(HIDDEN)], dim=1)
    mask, target = torch.arange(6).unsqueeze(0) < 3, torch.cat([TARGET, TARGET], dim=1)
    torch.testing.assert_close(made.loss(longer, mask, target), loss(made))
    parts = [loss(made, torch.where(torch.arange(3) == i, TARGET, -1)) for i in range(3)]
    torch.testing.assert_close(sum(parts), loss(made))


def test_a_focal_loss_needs_single_labels() -> None:
    with pytest.raises(ValueError, match="focal: expects one label per sentence"):
        PoolClassifier(4, Number(), focal=2.0)


OPEN = [-1, 2, -1, 1]


def sentence(target: list[int], length: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    hidden = torch.randn(1, 6, 4, generator=torch.Generator().manual_seed(2)).double()
    mask = torch.arange(6).unsqueeze(0) < length
    return hidden, mask, torch.tensor([[*target, *[-1] * (6 - len(target))]])


def completions() -> list[list[int]]:
    free = [range(3) if label < 0 else [label] for label in OPEN]
    return [list(path) for path in product(*free)]


@taggers
def test_the_loss_of_a_partly_labelled_sentence_sums_over_the_unknown_labels(
    head: type[Tagger],
) -> None:
    made = head(4, LABELS, dropout=0).double().eval()
    whole = torch.stack([made.loss(*sentence(path)) for path in completions()])
    torch.testing.assert_close(made.loss(*sentence(OPEN)), -(-whole).logsumexp(0))
    # Padding is not mistaken for a missing label, and sentences do not change each other.
    pair = [torch.cat(both) for both in zip(sentence(OPEN), sentence([0, 1], 2), strict=True)]
    expected = torch.cat([made.loss(*sentence(OPEN)), made.loss(*sentence([0, 1], 2))])
    torch.testing.assert_close(made.loss(*pair), expected)


@taggers
def test_smoothing_and_weights_leave_unknown_labels_out(head: type[Tagger]) -> None:
    weighted = head(4, LABELS, dropout=0, class_weights={"I-X": 3}).double().train()
    plain = head(4, LABELS, dropout=0).double().train()
    plain.load_state_dict(weighted.state_dict())
    if head is CRFTagger:  # the mean of 3 for I-X and 1 for B-X
        expected = 2 * plain.loss(*sentence(OPEN))
    else:
        expected = 3 * plain.loss(*sentence([-1, 2])) + plain.loss(*sentence([-1, -1, -1, 1]))
    torch.testing.assert_close(weighted.loss(*sentence(OPEN)), expected)
    smooth = head(4, LABELS, dropout=0, label_smoothing=0.2).double().train()
    plain.load_state_dict(smooth.state_dict())
    # The increases cancel out over all labels of the two known tokens.
    every = [[-1, one, -1, other] for one, other in product(range(3), repeat=2)]
    both = [torch.stack([made.loss(*sentence(path)) for path in every]) for made in (smooth, plain)]
    if head is CRFTagger:
        torch.testing.assert_close(both[0].mean(), both[1].mean())
        assert not torch.allclose(*both)
    else:
        torch.testing.assert_close(both[0], 0.8 * both[1] + 0.2 * both[1].mean())


classifiers = pytest.mark.parametrize(
    "head", [head for _, head in HEADS.items() if issubclass(head, Classifier)]
)
SENTENCES = torch.randn(3, 3, 4, generator=torch.Generator().manual_seed(3)).double()
KINDS = torch.tensor([0, 2, 1])


def sentence_losses(made: Classifier, target: Tensor = KINDS) -> Tensor:
    # Domains of equal states have no distance, and the other penalties are off.
    return made.loss(SENTENCES, torch.ones(3, 3, dtype=torch.bool), target)


@classifiers
def test_each_sentence_counts_for_the_weight_of_its_label(head: type[Classifier]) -> None:
    options = {"strength": 0} if head.adversarial else {}
    weights = {"O": 0.5, "I-X": 3}
    made = head(4, LABELS, dropout=0, class_weights=weights, **options).double().train()
    plain = head(4, LABELS, dropout=0, **options).double().train()
    plain.load_state_dict(made.state_dict())
    expected = sentence_losses(plain) * torch.tensor([0.5, 3, 1])
    torch.testing.assert_close(sentence_losses(made), expected)
    torch.testing.assert_close(sentence_losses(made.eval()), sentence_losses(plain.eval()))


@classifiers
def test_smoothing_of_classifiers_mixes_in_the_mean_of_all_labels(head: type[Classifier]) -> None:
    options = {"strength": 0} if head.adversarial else {}
    made = head(4, LABELS, dropout=0, label_smoothing=0.2, **options).double().train()
    plain = head(4, LABELS, dropout=0, **options).double().train()
    plain.load_state_dict(made.state_dict())
    every = torch.stack([sentence_losses(plain, torch.full((3,), label)) for label in range(3)])
    expected = 0.8 * sentence_losses(plain) + 0.2 * every.mean(0)
    torch.testing.assert_close(sentence_losses(made), expected)
    plain.load_state_dict(made.state_dict())  # running averages count the passes
    torch.testing.assert_close(sentence_losses(made.eval()), sentence_losses(plain.eval()))


def test_the_penalty_of_attention_is_added_to_the_weighted_loss() -> None:
    head = HEADS.find("attention")
    made = head(4, LABELS, dropout=0, penalty=0.5, hops=2, class_weights={"O": 2}).double().train()
    plain = head(4, LABELS, dropout=0, penalty=0.5, hops=2).double().train()
    plain.load_state_dict(made.state_dict())
    extra = sentence_losses(made) - sentence_losses(plain)
    torch.testing.assert_close(extra, sentence_losses(plain.eval()) * torch.tensor([1, 0, 0]))


@pytest.mark.parametrize("options", [{"label_smoothing": 0.2}, {"class_weights": "balanced"}])
def test_numbers_have_no_classes(options: dict) -> None:
    with pytest.raises(ValueError, match="expects one label per sentence, got another form"):
        PoolClassifier(4, Number(0.0, 1.0), **options)


@pytest.mark.parametrize("head", [SoftmaxTagger, CRFTagger, PoolClassifier])
def test_balanced_weights_are_those_of_scikit_learn_and_are_saved(head: type) -> None:
    made = head(4, ["O", "B", "never", "I"], class_weights="balanced")
    labels = ["O"] * 6 + ["B"] * 3 + ["I"]
    made.balance(torch.tensor([6, 3, 0, 1]))
    present = ["O", "B", "I"]
    expected = compute_class_weight("balanced", classes=np.array(present), y=labels)
    found = dict(zip(made.labels, made.class_weights.tolist(), strict=True))
    assert [found[label] for label in present] == pytest.approx(expected.tolist())
    assert sum(found[label] for label in labels) == pytest.approx(len(labels))
    again = head(4, ["O", "B", "never", "I"], class_weights="balanced")
    again.load_state_dict(made.state_dict())
    assert torch.equal(again.class_weights, made.class_weights)
