"""The head of language models: what each output layer shares, and what it pays for in training."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from mtl.heads import LanguageModel
from mtl.layers.word_trees import clustered_tree, context_vectors, huffman_tree
from mtl.options import RunContext
from tests.contracts.variants import prefix_mask

WORDS = [f"w{i}" for i in range(30)]
OUTPUTS = [
    *("tied", "full", "adaptive", "tied_adaptive", "mos"),
    *("hierarchical", "differentiated", "cnn"),
]
outputs = pytest.mark.parametrize("output", OUTPUTS)

PLAIN = {"ahead": 1, "training_loss": "exact"}


def made(output: str = "tied", width: int = 6, **options: Any) -> LanguageModel:
    table = nn.Parameter(torch.randn(30, 6, dtype=torch.double))
    head = LanguageModel(width, WORDS, table, output=output, **options)
    return head.double()


def text(width: int = 6) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    mask = prefix_mask([4, 2, 0])
    return torch.randn(3, 4, width).double(), mask, torch.randint(30, mask.shape)


@outputs
@pytest.mark.parametrize("width", [6, 8])
def test_the_probability_of_a_word_is_that_among_all_words(output: str, width: int) -> None:
    head, (hidden, mask, target) = made(output, width).eval(), text(width)
    expected = head.log_probs(hidden, mask).gather(2, target.unsqueeze(2)).squeeze(2)
    torch.testing.assert_close(head.log_probs_of(hidden, mask, target), expected)
    torch.testing.assert_close(head.loss(hidden, mask, target), -expected.sum(1))


@pytest.mark.parametrize("output", ["tied", "tied_adaptive", "mos"])
def test_tied_outputs_learn_the_table_that_they_are_given(output: str) -> None:
    table = nn.Parameter(torch.randn(30, 6))
    head = LanguageModel(6, WORDS, table, output=output)
    hidden, mask, target = text()
    head.loss(hidden.float(), mask, target).sum().backward()
    assert any(parameter is table for parameter in head.parameters())
    assert table.grad is not None
    assert table.grad[2:].any(1).all()


@pytest.mark.parametrize("output", ["full", "adaptive", "hierarchical", "differentiated", "cnn"])
def test_other_outputs_leave_it_alone(output: str) -> None:
    table = nn.Parameter(torch.randn(30, 6))
    head = LanguageModel(6, WORDS, table, output=output)
    assert not any(parameter is table for parameter in head.parameters())


def test_without_a_table_a_tied_output_has_its_own() -> None:
    assert LanguageModel(6, WORDS).output.embedding.shape == (30, 6)


def test_cutoffs_are_fractions_of_the_words() -> None:
    head = LanguageModel(6, WORDS, output="adaptive", cutoffs=(0.2, 0.5))
    assert head.output.cutoffs == (6, 15)


def test_cutoffs_beyond_the_vocabulary_are_ignored() -> None:
    head = LanguageModel(6, WORDS, output="adaptive", cutoffs=(0.2, 7, 12.0, 30, 400))
    assert head.output.cutoffs == (6, 7, 12)


def test_activations_and_their_changes_cost_in_training_alone() -> None:
    """AR and TAR (Merity et al. 2017), a mean over units, summed over real tokens."""
    hidden, mask, target = text()
    head = made(dropout=0.0, activation=2.0, temporal=3.0)
    plain = head.eval().loss(hidden, mask, target)
    size = [(hidden[b, :n] ** 2).mean(1).sum() for b, n in enumerate([4, 2, 0])]
    change = [
        sum(((hidden[b, t] - hidden[b, t + 1]) ** 2).mean() for t in range(n - 1))
        for b, n in enumerate([4, 2, 0])
    ]
    expected = plain + torch.tensor([2 * a + 3 * c for a, c in zip(size, change, strict=True)])
    torch.testing.assert_close(head.train().loss(hidden, mask, target), expected)


def test_dropout_drops_the_same_units_of_all_tokens() -> None:
    head = made("full", dropout=0.5).train()
    hidden = torch.randn(1, 1, 6).double().expand(1, 5, 6)
    target, mask = torch.full((1, 5), 7), prefix_mask([5])
    found = head.log_probs_of(hidden, mask, target)
    torch.testing.assert_close(found, found[:, :1].expand(1, 5))
    assert head.log_probs_of(hidden, mask, target)[0, 0] != found[0, 0]


@pytest.mark.parametrize("cutoffs", [(0.5, 0.1), (0.2, 0.2)])
def test_cutoffs_that_do_not_rise_are_refused(cutoffs: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="expected rising numbers"):
        LanguageModel(4, [str(n) for n in range(20)], output="adaptive", cutoffs=cutoffs)


def test_cutoffs_beyond_all_words_are_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one below the 30 words .*, got \[100\]"):
        LanguageModel(6, WORDS, output="tied_adaptive", cutoffs=(100,))


@pytest.mark.parametrize("word", ["previous", "same"])
def test_models_of_other_words_cannot_look_back(word: str) -> None:
    context = RunContext(("a",), task="a", texts={"a": word})
    (error,) = LanguageModel.check({**PLAIN, "attention": "scaled"}, context)
    assert (error.option, "predict the next word" in str(error)) == ("attention", True)
    assert not [*LanguageModel.check({**PLAIN, "attention": None}, context)]


def test_the_mean_of_some_words_ahead_is_learnt_in_training() -> None:
    """h_t predicts the next word, and by a linear map of its own the word after it."""
    head, (hidden, mask, target) = made("full", dropout=0.0, ahead=2), text()
    log_probs = head.output.output(hidden).log_softmax(2)
    further = head.output.output(hidden @ head.further[0].weight.T).log_softmax(2)
    sums = [
        sum(log_probs[b, t, target[b, t]].item() for t in range(n))
        + sum(further[b, t, target[b, t + 1]].item() for t in range(n - 1))
        for b, n in enumerate([4, 2, 0])
    ]
    found = head.train().loss(hidden, mask, target)
    assert found.tolist() == pytest.approx([-total / 2 for total in sums])
    expected = head.log_probs_of(hidden, mask, target).sum(1)
    torch.testing.assert_close(head.eval().loss(hidden, mask, target), -expected)


def test_training_losses_replace_the_exact_one_in_training_alone() -> None:
    head, (hidden, mask, target) = made(dropout=0.0, training_loss="nce", samples=3), text()
    exact = head.eval().loss(hidden, mask, target)
    assert not torch.allclose(head.train().loss(hidden, mask, target), exact)
    torch.testing.assert_close(-head.log_probs_of(hidden, mask, target).sum(1), exact)


@pytest.mark.parametrize("loss", ["importance", "adaptive_importance", "nce"])
def test_samples_follow_the_training_text(loss: str) -> None:
    head = made(training_loss=loss)
    assert head.reads_text
    head.read_text(torch.tensor([3] * 50 + [7] * 20))
    frequencies = head.training_loss.frequencies
    assert frequencies[[3, 7, 8]].tolist() == pytest.approx([0.51, 0.21, 0.01])


@pytest.mark.parametrize("tree", ["huffman", "clustered"])
def test_the_tree_follows_the_training_text(tree: str) -> None:
    head, words = made("hierarchical", tree=tree), torch.randint(30, (400,))
    assert head.reads_text
    head.read_text(words)
    counts = 1 + torch.bincount(words, minlength=30)
    clustered = clustered_tree(context_vectors(words, 30))
    expected = {"huffman": huffman_tree(counts), "clustered": clustered}[tree]
    assert torch.equal(head.output.places, expected)


@pytest.mark.parametrize("options", [{}, {"output": "hierarchical", "tree": "random"}])
def test_other_heads_do_not_read_it(options: dict[str, Any]) -> None:
    assert not made(**options).reads_text


def test_biases_start_near_probabilities_where_the_loss_normalises() -> None:
    for loss in ("nce", "self_normalised"):
        assert made(training_loss=loss).output.bias.exp().sum().item() == pytest.approx(1)


@pytest.mark.parametrize(
    ("options", "context", "said"),
    [
        ({"ahead": 2}, {"texts": {"t": "previous"}}, "expected 1 for 't', which predicts the prev"),
        ({"training_loss": "targets"}, {"processes": 2}, "'targets' reads the targets of a whole"),
    ],
)
def test_losses_that_a_run_cannot_have_are_refused(
    options: dict[str, Any], context: dict[str, Any], said: str
) -> None:
    given = {**PLAIN, **options}
    found = [*LanguageModel.check(given, RunContext(("t",), task="t", users=("t",), **context))]
    assert [said in str(error) for error in found] == [True]


@pytest.mark.parametrize(
    "options",
    [
        {"output": "mos", "training_loss": "nce"},
        {"samples": 5},
        {"training_loss": "nce", "normalised": 0.5},
        {"tree": "random"},
        {"correction": 3},
        {"output": "hierarchical", "cutoffs": (0.3,)},
    ],
)
def test_options_without_effect_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="has no effect unless"):
        made(**options)
