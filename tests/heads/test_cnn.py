"""The convolutional classifier."""

from __future__ import annotations

import pytest
import torch

from mtl.heads import CNNClassifier


def bigram_detector() -> CNNClassifier:
    """One filter over two tokens: h_t − h_t+1 + 1; the score of label b is its maximum."""
    head = CNNClassifier(1, ["a", "b"], widths=(2,), maps=1).eval()
    weights = {
        "filters.0.weight": torch.tensor([[[1.0, -1.0]]]),
        "filters.0.bias": torch.tensor([1.0]),
        "output.weight": torch.tensor([[0.0], [1.0]]),
        "output.bias": torch.tensor([0.0, 0.0]),
    }
    head.load_state_dict(weights)
    return head


@pytest.mark.parametrize(
    ("tokens", "score"),
    [
        ([1.0, 5.0, 2.0], 4.0),  # max(1-5+1, 5-2+1)
        ([1.0, 5.0], 0.0),  # 1-5+1 = -3, cut to zero
        ([3.0], 4.0),  # a zero behind: 3-0+1
        ([], 1.0),  # zeros alone
    ],
)
def test_a_worked_example(tokens: list[float], score: float) -> None:
    hidden = torch.tensor([[*tokens, 9.0, -9.0]]).unsqueeze(-1)
    mask = torch.tensor([[True] * len(tokens) + [False] * 2])
    scores = bigram_detector().scores(hidden, mask)
    assert scores.tolist() == [[0.0, score]]


def test_a_filter_never_looks_past_the_end_of_a_sentence() -> None:
    head, mask = bigram_detector(), torch.tensor([[True, True, True, False]])
    hidden = torch.tensor([[0.0, 0.0, 7.0, 0.0]]).unsqueeze(-1)
    assert head.sentence(hidden, mask).item() == 1  # 7 − 0 + 1 would need the padding


def test_filters_may_have_one_width_or_many() -> None:
    assert CNNClassifier(3, ["a"], widths=(1,), maps=2).output.in_features == 2
    assert CNNClassifier(3, ["a"], widths=(1, 2, 7), maps=2).output.in_features == 6


def pooled(tokens: list[float], **options: object) -> list[float]:
    """The output of a filter that copies single tokens."""
    head = CNNClassifier(1, ["a"], widths=(1,), maps=1, **options).eval()
    head.filters[0].load_state_dict({"weight": torch.ones(1, 1, 1), "bias": torch.zeros(1)})
    hidden = torch.tensor([[*tokens, 9.0]]).unsqueeze(-1)
    return head.sentence(hidden, torch.arange(len(tokens) + 1).unsqueeze(0) < len(tokens))[
        0
    ].tolist()


def test_the_largest_values_are_kept_in_their_order() -> None:
    assert pooled([3.0, 1.0, 5.0, 4.0], k=3) == [3, 5, 4]


def test_short_sentences_are_padded_with_zeros() -> None:
    assert pooled([3.0, 5.0], k=3) == [3, 5, 0]
    assert pooled([-3.0, 5.0], k=3) == [0, 5, 0]


def test_the_mean_is_over_the_windows_of_the_sentence() -> None:
    assert pooled([3.0, -1.0, 6.0], pooling="mean") == [3]  # -1 is cut to zero


@pytest.mark.parametrize("options", [{}, {"k": 2}, {"pooling": "mean"}])
def test_texts_without_words_are_as_padding_alone(options: dict) -> None:
    head, nothing = CNNClassifier(3, ["a"], widths=(1, 3), maps=2, **options), torch.zeros(2, 4, 3)
    mask = torch.zeros(2, 4, dtype=torch.bool)
    assert torch.equal(head.sentence(nothing[:, :0], mask[:, :0]), head.sentence(nothing, mask))


def test_an_unknown_pooling_is_an_error() -> None:
    with pytest.raises(ValueError, match="pooling: expected one of max, mean, got 'last'"):
        CNNClassifier(3, ["a"], pooling="last")


def test_there_is_one_mean() -> None:
    with pytest.raises(ValueError, match="k: expected 1 with pooling mean"):
        CNNClassifier(3, ["a"], pooling="mean", k=2)


def test_no_widths_at_all_are_an_error() -> None:
    with pytest.raises(ValueError, match="widths: expected at least one"):
        CNNClassifier(3, ["a"], widths=())
