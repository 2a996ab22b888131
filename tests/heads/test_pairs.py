"""Every classifier compares two sentences: states of all first ones, then of all second ones."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor
from torch.nn import functional

from mtl.data.batch import Batch
from mtl.data.encoding import Batcher
from mtl.heads import (
    HEADS,
    AttentionClassifier,
    Classifier,
    DomainClassifier,
    LabelSet,
    Number,
    Pairs,
    PoolClassifier,
)
from mtl.heads.pairs import Comparison
from mtl.layers.attention import overlap
from mtl.text.example import Example
from mtl.text.vocabulary import WordVocabulary
from tests.contracts.variants import prefix_mask, shaken, widened, with_garbage
from tests.test_model import WORDS
from tests.test_model import made as small_model

CLASSIFIERS = [cls for _, cls in HEADS.items() if issubclass(cls, Classifier)]
ANSWERS = [["p", "q"], LabelSet(["p", "q"]), Number(3.0, 2.0)]
classifiers = pytest.mark.parametrize("cls", CLASSIFIERS)
ATTENDING = pytest.mark.parametrize("cls", [cls for cls in CLASSIFIERS if not cls.adversarial])
LENGTHS = [4, 1, 3, 2, 0, 4]


def text() -> tuple[Tensor, Tensor]:
    """Three pairs; the second one has no words in its second sentence."""
    return torch.randn(6, 4, 5).double(), prefix_mask(LENGTHS)


def pair(row: int) -> list[int]:
    return [row, row + 3]


def test_both_vectors_their_difference_and_their_product_are_read() -> None:
    u, v = torch.randn(3, 4), torch.randn(3, 4)
    found = Comparison()(torch.cat([u, v]))
    assert torch.equal(found, torch.cat([u, v, (u - v).abs(), u * v], dim=1))
    assert Comparison(["product"])(torch.cat([u, v])).equal(u * v)
    assert [Comparison(c).factor for c in (["both"], ["difference", "product"])] == [2, 2]


@pytest.mark.parametrize("compare", [[], ["both", "both"]])
def test_parts_that_are_none_or_twice_are_an_error(compare: list[str]) -> None:
    with pytest.raises(ValueError, match="compare: expected different parts"):
        Comparison(compare)


@classifiers
@pytest.mark.parametrize("answer", ANSWERS, ids=["label", "set", "number"])
def test_a_pair_has_one_answer_whatever_stands_beside_it(cls: type, answer: object) -> None:
    head, (hidden, mask) = shaken(cls(5, Pairs(answer))), text()
    found = head.decode(hidden, mask)
    assert len(found) == len(head.named(found)) == 3
    for row in range(3):
        alone = head.decode(hidden[pair(row)], mask[pair(row)])
        torch.testing.assert_close(alone, found[[row]])


@classifiers
def test_padding_changes_nothing(cls: type) -> None:
    head, (hidden, mask) = shaken(cls(5, Pairs(["p", "q"]))), text()
    dirty, longer = with_garbage(hidden, mask, more=2), widened(mask, 2)
    torch.testing.assert_close(head.log_probs(dirty, longer), head.log_probs(hidden, mask))


@classifiers
def test_the_loss_is_one_a_pair_and_that_of_the_probabilities(cls: type) -> None:
    head, (hidden, mask) = shaken(cls(5, Pairs(["p", "q"]))), text()
    target = torch.tensor([0, 1, 1])
    expected = functional.nll_loss(head.log_probs(hidden, mask), target, reduction="none")
    torch.testing.assert_close(head.loss(hidden, mask, target), expected)


def test_the_penalty_of_attention_is_that_of_both_sentences() -> None:
    labels, (hidden, mask) = Pairs(["p", "q"]), text()
    head = shaken(AttentionClassifier(5, labels, hops=2, penalty=0.5, dropout=0.0))
    plain, own = (
        head.train(mode).loss(hidden, mask, torch.zeros(3).long()) for mode in (False, True)
    )
    both = overlap(head.pooling(hidden, mask)[1])
    torch.testing.assert_close(own - plain, 0.5 * (both[:3] + both[3:]))


def test_difference_and_product_do_not_see_which_came_first() -> None:
    labels, (hidden, mask) = Pairs(["p", "q"], ["difference", "product"]), text()
    head, other = shaken(PoolClassifier(5, labels)), [3, 4, 5, 0, 1, 2]
    swapped = head.log_probs(hidden[other], mask[other])
    torch.testing.assert_close(swapped, head.log_probs(hidden, mask))


def attending(cls: type) -> Classifier:
    return shaken(cls(5, Pairs(["p", "q"], cross_attention=True)))


@ATTENDING
def test_a_classifier_reads_what_its_tokens_found_in_the_other_sentence(cls: type) -> None:
    head, (hidden, mask) = attending(cls), text()
    plain = cls(5, Pairs(["p", "q"])).double().eval()
    plain.load_state_dict(head.state_dict(), strict=False)
    states, _ = head.cross_attention(hidden, mask)
    torch.testing.assert_close(head.log_probs(hidden, mask), plain.log_probs(states, mask))
    target = torch.tensor([0, 1, 1])
    torch.testing.assert_close(head.loss(hidden, mask, target), plain.loss(states, mask, target))
    found, expected = (head.attention_weights(hidden, mask), plain.attention_weights(states, mask))
    assert (found is None) == (expected is None)
    if found is not None:
        torch.testing.assert_close(found, expected)


@ATTENDING
def test_with_attention_a_pair_does_not_depend_on_the_pairs_beside_it(cls: type) -> None:
    head, (hidden, mask) = attending(cls), text()
    found = head.log_probs(hidden, mask)
    for row in range(3):
        alone = head.log_probs(hidden[pair(row)], mask[pair(row)])
        torch.testing.assert_close(alone, found[[row]])
    dirty, longer = with_garbage(hidden, mask, more=2), widened(mask, 2)
    torch.testing.assert_close(head.log_probs(dirty, longer), found)


def test_the_decomposable_model_adds_up_the_comparisons_of_both_sentences() -> None:
    labels, (hidden, mask) = Pairs(["p", "q"], ["both"], cross_attention=True), text()
    head = shaken(PoolClassifier(5, labels, pooling="sum"))
    states, _ = head.cross_attention(hidden, mask)
    sums = torch.stack([row[real].sum(0) for row, real in zip(states, mask, strict=True)])
    expected = head.output(torch.cat([sums[:3], sums[3:]], dim=1)).log_softmax(1)
    torch.testing.assert_close(head.log_probs(hidden, mask), expected)


def test_an_adversary_reads_the_trunk_alone() -> None:
    with pytest.raises(ValueError, match="cross_attention: has no effect on an adversary"):
        DomainClassifier(5, Pairs(["p", "q"], cross_attention=True))


def test_weights_can_be_saved_and_loaded() -> None:
    labels, (hidden, mask) = Pairs(LabelSet("pq")), text()
    head, again = (shaken(PoolClassifier(5, labels)) for _ in range(2))
    again.load_state_dict(load(save(head.state_dict())))
    torch.testing.assert_close(again.log_probs(hidden, mask), head.log_probs(hidden, mask))


def test_a_batch_holds_all_first_sentences_and_then_all_second_ones() -> None:
    words = WordVocabulary.build(dict.fromkeys("abcd", 1))
    examples = [Example.pair("ab", "c"), Example.pair("d", "dcb")]
    batch = Batcher({"words": words}, {}).batch(examples)
    singles = [Example(tuple(side)) for side in ("ab", "d", "c", "dcb")]
    alone = Batcher({"words": words}, {}).batch(singles)
    assert torch.equal(batch.features["words"], alone.features["words"])
    assert torch.equal(batch.mask, alone.mask)


def test_unlabelled_pairs_have_no_loss_and_do_not_affect_others() -> None:
    model = small_model()
    model.heads["verb"] = PoolClassifier(6, Pairs(["yes", "no"])).eval()
    batcher = Batcher({"words": WORDS}, {})
    texts = [Example.pair(("a", "cat"), ("cat",)), Example.pair(("ada",), ("a", "sat"))]
    batches = [batcher.batch(texts), batcher.batch(texts[1:])]
    targets = [torch.tensor([-1, 1]), torch.tensor([1])]
    both, alone = (
        model(Batch(b.features, b.mask, {"verb": t})).losses["verb"]
        for b, t in zip(batches, targets, strict=True)
    )
    assert both[0] == 0
    torch.testing.assert_close(both[1:], alone)
