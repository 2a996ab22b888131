"""Shared and private trunks: inputs of the heads, adversary and penalties."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from mtl.errors import ConfigError
from mtl.experiment.config import check_run
from mtl.experiment.subset import restricted_to
from mtl.layers import subspace_overlap
from mtl.sharing import SharedPrivate
from mtl.trunks import LSTMTrunk
from tests.contracts.variants import prefix_mask
from tests.training.runs import corpus, epochs_of, prepared, trainer

MASK = prefix_mask([5, 2, 4])


def trunk() -> LSTMTrunk:
    return LSTMTrunk(4, hidden_size=3, num_layers=2, dropout=0)


def made(**options: Any) -> SharedPrivate:
    torch.manual_seed(1)
    return SharedPrivate(["a", "b"], trunk, **options)


def text() -> Tensor:
    torch.manual_seed(2)
    return torch.randn(3, 5, 4) * MASK.unsqueeze(2)


def adversary_loss(sharing: SharedPrivate, task: str = "b") -> Tensor:
    return sharing(text(), MASK, [task])[task].penalties["adversary"]


def gradients(module: nn.Module) -> list[Tensor | None]:
    return [parameter.grad for parameter in module.parameters()]


def test_a_task_reads_the_shared_trunk_and_its_own_at_every_layer() -> None:
    sharing = made()
    shared, _ = sharing.shared(text(), MASK)
    own, _ = sharing.private["b"](text(), MASK)
    _, *found = sharing(text(), MASK, ["b"])["b"].layers
    for layer, one, other in zip(found, shared[1:], own[1:], strict=True):
        # Forward directions first: the stacks of the two directions stay apart.
        parts = [one[..., :3], other[..., :3], one[..., 3:], other[..., 3:]]
        assert torch.equal(layer, torch.cat(parts, dim=2))


def test_forward_outputs_do_not_depend_on_later_words() -> None:
    sharing, x = made(), text()
    later = x.clone()
    later[:, 3:] += 1
    first, second = (sharing(v, MASK, ["a"])["a"].layers[-1] for v in (x, later))
    assert torch.equal(first[:, :3, :6], second[:, :3, :6])
    assert not torch.equal(first[:, :3, 6:], second[:, :3, 6:])


def test_the_private_trunk_of_a_task_learns_from_no_other() -> None:
    sharing = made(adversary=1.0, difference=1.0)
    encoded = sharing(text(), MASK, ["a"])["a"]
    (encoded.layers[-1].sum() + sum(encoded.penalties.values())).backward()
    assert all(g is None for g in gradients(sharing.private["b"]))
    for module in (sharing.private["a"], sharing.shared):
        assert all(g is not None and g.any() for g in gradients(module))


@pytest.mark.parametrize("strength", [1.0, 0.25])
def test_the_adversary_reverses_its_gradient_for_the_shared_trunk(
    strength: float,
) -> None:
    sharing, plain = made(adversary=strength), made(adversary=strength)
    adversary_loss(sharing).backward()
    pooled = plain.shared(text(), MASK)[0][-1].sum(1) / MASK.sum(1, keepdim=True)
    functional.cross_entropy(plain.discriminator[1](pooled), torch.tensor([1, 1, 1])).backward()
    for found, own in zip(gradients(sharing.shared), gradients(plain.shared), strict=True):
        torch.testing.assert_close(found, -strength * own)
    for found, own in zip(
        gradients(sharing.discriminator), gradients(plain.discriminator), strict=True
    ):
        torch.testing.assert_close(found, own)


def test_at_the_start_of_a_ramp_the_adversary_learns_alone() -> None:
    sharing = made(adversary=1.0, ramp=10)
    adversary_loss(sharing).backward()
    assert not any(g.any() for g in gradients(sharing.shared))
    assert all(g.any() for g in gradients(sharing.discriminator))
    sharing.zero_grad()
    adversary_loss(sharing).backward()
    assert all(g.any() for g in gradients(sharing.shared))


def test_the_adversary_separates_corpora_and_the_trunk_hides_them() -> None:
    sharing = made(adversary=1.0)
    x = {"a": text(), "b": (text() + 2) * MASK.unsqueeze(2)}

    def trained(module: nn.Module) -> float:
        """The adversary's loss after some steps of one module."""
        optimizer = torch.optim.Adam(module.parameters(), lr=0.05)
        for _ in range(60):
            sharing.zero_grad()
            loss = sum(sharing(x[t], MASK, [t])[t].penalties["adversary"] for t in "ab")
            loss.backward()
            optimizer.step()
        return loss.item() / 2

    assert trained(sharing.discriminator) < 0.4
    assert trained(sharing.shared) > 0.69  # log 2 is the loss of guessing


def test_the_difference_is_the_overlap_of_the_last_layers() -> None:
    sharing = made(difference=0.5)
    found = sharing(text(), MASK, ["b"])["b"].penalties
    tops = [trunk(text(), MASK)[0][-1] for trunk in (sharing.shared, sharing.private["b"])]
    torch.testing.assert_close(found, {"difference.b": 0.5 * subspace_overlap(*tops, MASK)})


def test_a_shared_only_task_has_no_private_input() -> None:
    sharing = made(shared_only=["b"], difference=0.5)
    before = sharing(text(), MASK, ["a", "b"])
    with torch.no_grad():
        for parameter in sharing.private.parameters():
            parameter.add_(torch.randn_like(parameter))
    after = sharing(text(), MASK, ["a", "b"])
    shared, _ = sharing.shared(text(), MASK)
    for one, other, own in zip(before["b"].layers, after["b"].layers, shared, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(one, own)
    assert not torch.equal(before["a"].layers[-1], after["a"].layers[-1])
    assert (set(before["a"].penalties), set(before["b"].penalties)) == ({"difference.a"}, set())


def test_a_task_of_the_shared_trunk_alone_trains_no_other() -> None:
    sharing = made(shared_only=["b"], adversary=1.0)
    encoded = sharing(text(), MASK, ["b"])["b"]
    (encoded.layers[-1].sum() + encoded.penalties["adversary"]).backward()
    assert list(sharing.private) == ["a"]
    assert all(g is None for g in gradients(sharing.private))
    assert all(g is not None and g.any() for g in gradients(sharing.shared))


def test_penalties_do_not_grow_with_the_batch() -> None:
    sharing = made(adversary=0.1, difference=0.1)
    once = sharing(text(), MASK, ["a"])["a"].penalties
    twice = sharing(text().repeat(2, 1, 1), MASK.repeat(2, 1), ["a"])["a"].penalties
    torch.testing.assert_close(twice, once)


def test_tasks_of_a_group_are_one_to_the_adversary() -> None:
    sharing = SharedPrivate([*"abc"], trunk, adversary=0.1, groups=[["c", "a"], ["b"]])
    found = sharing(text(), MASK, ["a", "c"])
    assert found["a"].penalties["adversary"] is found["c"].penalties["adversary"]
    with pytest.raises(ValueError, match="groups: expected tasks of one group in a batch"):
        sharing(text(), MASK, ["a", "b"])


MISTAKES = {
    "ramp: has no effect unless adversary is set": {"ramp": 5},
    "adversary: expected tasks on at least two corpora": {"adversary": 1.0, "groups": [["a", "b"]]},
    "groups: unknown task 'x'": {"adversary": 1.0, "groups": [["a", "b"], ["x"]]},
    "shared_only: unknown task 'x'; expected one of: a, b": {"shared_only": ["x"]},
}


@pytest.mark.parametrize(("message", "options"), MISTAKES.items())
def test_options_that_do_not_go_together(message: str, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=message):
        SharedPrivate(**{"tasks": ["a", "b"], "make_trunk": trunk, **options})


ONE_CORPUS = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
TWO_CORPORA = {**ONE_CORPUS, "other": {"use": "d/pos"}}


def adversarial(**options: Any) -> dict[str, Any]:
    return {"type": "shared_private", "adversary": 0.1, "difference": 0.1, **options}


@pytest.mark.sampled(2)
@pytest.mark.parametrize("mixing", ["proportional", "joint"])
def test_it_trains_through_the_run_file(mixing: str, tmp_path: Path) -> None:
    corpora = {name: corpus(tmp_path, name, 12) for name in "cd"}
    sharing = adversarial(ramp=10)
    made = trainer(tmp_path, TWO_CORPORA, corpora, sharing=sharing, mixing=mixing, epochs=4)
    first, *_, last = epochs_of(made.run())
    assert last.losses["pos"] < first.losses["pos"]
    group_of = made.model.sharing.group_of
    assert group_of["pos"] == group_of["verb"] != group_of["other"]


def test_domains_are_separated_through_the_run_file(tmp_path: Path) -> None:
    corpora = {name: corpus(tmp_path, name, 12) for name in "cd"}
    same = {"labels": {"text": "same"}, "head": "lm", "metric": "perplexity"}
    for own in corpora.values():
        own["tasks"] = {**own["tasks"], "same": same}
    tasks = {"pos": {"use": "c/pos"}, "same": {"use": "c/same"}}
    tasks["other"] = {"use": "d/same", "head": "same"}
    options = {"sharing": adversarial(shared_only=["pos"]), "metric": "pos.accuracy"}
    model = trainer(tmp_path, tasks, corpora, **options).model
    assert set(model.sharing.private) == {"same", "other"}
    group_of = model.sharing.group_of
    assert group_of["pos"] == group_of["same"] != group_of["other"]
    assert model.head("same") is model.head("other")
    assert model.head("same").in_features == 2 * model.head("pos").in_features


def test_heads_are_not_shared_between_one_trunk_and_two(tmp_path: Path) -> None:
    tasks = {"pos": {"use": "c/pos"}, "again": {"use": "c/pos", "head": "pos"}}
    with pytest.raises(ConfigError, match=r"tasks\.again\.layer: shares the head of 'pos', which"):
        prepared(tmp_path, tasks, sharing={"type": "shared_private", "shared_only": ["pos"]})


def test_an_adversary_with_one_corpus_is_told_before_training(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sharing\.adversary: expected tasks on at least two"):
        prepared(tmp_path, ONE_CORPUS, sharing=adversarial())


def test_tasks_of_a_corpus_cannot_be_of_two_groups(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sharing\.groups: 'pos' and 'verb' read the same"):
        prepared(tmp_path, ONE_CORPUS, sharing=adversarial(groups=[["pos"], ["verb"]]))


def test_a_difference_to_no_private_trunk_is_an_error(tmp_path: Path) -> None:
    sharing = {"type": "shared_private", "difference": 0.1, "shared_only": ["pos", "verb"]}
    with pytest.raises(ConfigError, match=r"sharing\.difference: has no effect, as no task has"):
        prepared(tmp_path, ONE_CORPUS, sharing=sharing)


def test_fewer_tasks_without_private_trunks_have_no_difference(tmp_path: Path) -> None:
    tasks = {**ONE_CORPUS, "ner": {"use": "c/ner"}}
    sharing = {"type": "shared_private", "difference": 0.1, "shared_only": ["pos", "verb"]}
    run = prepared(tmp_path, tasks, sharing=sharing)[0].run
    for kept, expected in ((["pos", "verb"], 0.0), (["pos", "ner"], 0.1)):
        found = check_run(restricted_to(run, kept).run)
        assert found.sharing.options["difference"] == expected
