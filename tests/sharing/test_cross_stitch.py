"""Cross-stitch units: what tasks read of each other's trunks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from mtl.errors import ConfigError
from mtl.sharing import CrossStitch, NoSharing
from mtl.trunks import GRUTrunk, TransformerTrunk
from tests.contracts.variants import shaken
from tests.training.runs import epochs_of, prepared, trainer

TASKS = ["a", "b", "c"]
RUN = {"pos": {"use": "c/pos"}, "verb": {"use": "c/verb"}}
kinds = pytest.mark.parametrize("alpha", ["task", "channel"])


def trunk() -> GRUTrunk:
    return GRUTrunk(4, num_layers=2, hidden_size=3)


def made(**options: Any) -> CrossStitch:
    return shaken(CrossStitch(TASKS, trunk, **options))


def text() -> tuple[Tensor, Tensor]:
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    return torch.randn(2, 5, 4).double() * mask.unsqueeze(-1), mask


def identity(sharing: CrossStitch) -> None:
    for alpha in sharing.alpha:
        eye = torch.eye(len(TASKS)).double()
        alpha.data.copy_(eye if alpha.ndim == 2 else eye.unsqueeze(-1).expand_as(alpha))


@kinds
def test_misra_2016_with_identity_the_tasks_are_separate(alpha: str) -> None:
    sharing, (x, mask) = made(alpha=alpha), text()
    identity(sharing)
    apart = NoSharing(TASKS, trunk).double().eval()
    apart.trunks.load_state_dict(sharing.trunks.state_dict())
    expected = apart(x, mask, TASKS)
    for task, encoded in sharing(x, mask, TASKS).items():
        torch.testing.assert_close(encoded.layers, expected[task].layers)


@kinds
def test_misra_2016_equation_1_every_layer_reads_mixtures_of_the_one_below(alpha: str) -> None:
    sharing, (x, mask) = made(alpha=alpha), text()
    hidden = [[x] for _ in TASKS]
    for i, weights in enumerate(sharing.alpha, 1):
        trunks = sharing.trunks.values()
        outputs = [t.step(i, own, mask, None)[0] for t, own in zip(trunks, hidden, strict=True)]
        for row, own in zip(weights, hidden, strict=True):
            own.append(sum(share * output for share, output in zip(row, outputs, strict=True)))
    for own, encoded in zip(hidden, sharing(x, mask, TASKS).values(), strict=True):
        torch.testing.assert_close(encoded.layers, own)


@kinds
def test_misra_2016_section_4_shares_start_at_nine_to_one_and_sum_to_one(alpha: str) -> None:
    sharing = CrossStitch(TASKS, trunk, alpha=alpha)
    found = sharing.learnt()
    expected = torch.tensor([[0.9, 0.05, 0.05], [0.05, 0.9, 0.05], [0.05, 0.05, 0.9]])
    assert list(found) == ["alpha.1", "alpha.2"]
    assert sharing.axes() == dict.fromkeys(found, (TASKS, TASKS))
    for matrix in found.values():
        torch.testing.assert_close(matrix, expected)


def test_what_is_learnt_of_channels_is_their_mean() -> None:
    sharing = made(alpha="channel")
    torch.testing.assert_close(sharing.learnt()["alpha.2"], sharing.alpha[1].mean(2))


@kinds
def test_gradients_agree_with_differences(alpha: str) -> None:
    sharing, (x, mask) = made(alpha=alpha), text()
    names = [n for n, _ in sharing.named_parameters() if n.startswith("alpha") or "_hh" in n]

    def encode(*values: Tensor) -> Tensor:
        found = functional_call(sharing, dict(zip(names, values, strict=True)), (x, mask, ["a"]))
        return found["a"].layers[-1].sum(1)

    values = [sharing.get_parameter(name).detach().requires_grad_() for name in names]
    assert torch.autograd.gradcheck(encode, values, fast_mode=True)


def test_transformers_are_stitched_too() -> None:
    sizes = {"num_layers": 2, "hidden_size": 6, "num_heads": 2, "feed_forward": 5, "positions": 9}
    sharing = shaken(CrossStitch(TASKS, lambda: TransformerTrunk(4, **sizes)))
    before = sharing(*text(), ["a"])["a"].layers[-1]
    nn.init.zeros_(sharing.trunks["b"].layers[0].narrow.weight)
    assert not torch.equal(sharing(*text(), ["a"])["a"].layers[-1], before)


def test_one_task_has_nobody_to_read(tmp_path: Path) -> None:
    message = "sharing: 'cross_stitch' cannot share with a single task; choose 'hard'"
    with pytest.raises(ConfigError, match=message):
        prepared(tmp_path, {"pos": RUN["pos"]}, sharing="cross_stitch")


def test_alone_it_says_what_it_expects() -> None:
    with pytest.raises(ValueError, match=r"expected at least two tasks, got \['a'\]"):
        CrossStitch(["a"], trunk)


@pytest.mark.sampled(2)
@kinds
def test_a_run_learns_what_tasks_share(alpha: str, tmp_path: Path) -> None:
    made = trainer(tmp_path, RUN, sharing={"type": "cross_stitch", "alpha": alpha}, epochs=10)
    before = made.model.sharing.learnt()["alpha.2"].clone()
    first, *_, last = epochs_of(made.run())
    assert sum(last.losses.values()) < 0.7 * sum(first.losses.values())
    assert (made.model.sharing.learnt()["alpha.2"] != before).all()


@pytest.mark.parametrize("tuning", [None, {"lr_ratio": 2.0}])
def test_alpha_may_learn_faster(tuning: dict[str, float] | None, tmp_path: Path) -> None:
    sharing = {"type": "cross_stitch", "lr_factor": 100}
    made = trainer(tmp_path, RUN, sharing=sharing, fine_tuning=tuning)
    alpha = set(made.model.sharing.alpha)
    rates = {group["lr"]: set(group["params"]) for group in made.optimizer.param_groups}
    assert rates[2.0] == alpha
    assert max(rate for rate in rates if rate != 2.0) == 0.02
