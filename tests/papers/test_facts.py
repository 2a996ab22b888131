"""One fact a paper, with its place."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from mtl.data.mixing import Annealed, Temperature
from mtl.heads import CNNClassifier, CRFTagger
from mtl.layers import CRF, ScalarMix, StepwiseLSTM, VariationalDropout
from mtl.metrics import SpanF1
from mtl.training.optimizers import SGD, Adam, AdamW
from mtl.training.schedules import Cosine
from mtl.trunks import GRUTrunk, LSTMTrunk


def parameters(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def test_kim_2014_section_3_1_number_of_parameters() -> None:
    head = CNNClassifier(300, ["negative", "positive"])
    filters = sum(100 * (300 * width + 1) for width in (3, 4, 5))
    assert parameters(head) == filters + (300 * 2 + 2) == 360_902
    assert head.dropout.p == 0.5


def test_kim_2014_a_feature_is_the_maximum_over_time() -> None:
    head = CNNClassifier(2, ["a"], widths=(1,), maps=1)
    head.filters[0].load_state_dict({"weight": torch.ones(1, 2, 1), "bias": torch.zeros(1)})
    hidden = torch.tensor([[[1.0, 2.0], [4.0, 3.0], [0.0, 1.0]]])
    assert head.sentence(hidden, torch.ones(1, 3, dtype=torch.bool)).item() == 7


def test_lafferty_2001_crf_without_transitions_is_a_softmax() -> None:
    crf, emissions = CRF(3), torch.randn(2, 4, 3)
    for parameter in crf.parameters():
        nn.init.zeros_(parameter)
    tags, mask = torch.randint(3, (2, 4)), torch.ones(2, 4, dtype=torch.bool)
    softmax = emissions.log_softmax(2).gather(2, tags.unsqueeze(2)).sum((1, 2))
    torch.testing.assert_close(crf(emissions, tags, mask), softmax)
    torch.testing.assert_close(crf.marginals(emissions, mask), emissions.softmax(2))


def test_lample_2016_scores_add_transitions_and_emissions() -> None:
    head = CRFTagger(2, ["O", "B-X"], dropout=0.0)
    shapes = {name: value.shape for name, value in head.crf.state_dict().items()}
    assert shapes == {"start_transitions": (2,), "end_transitions": (2,), "transitions": (2, 2)}
    assert parameters(head) == (2 * 2 + 2) + (2 * 2 + 2 + 2)


def test_peters_2018_equation_1_equal_scores_average_the_layers() -> None:
    mix = ScalarMix(3)
    nn.init.constant_(mix.gamma, 6.0)
    layers = [torch.full((1, 1, 2), value) for value in (1.0, 2.0, 6.0)]
    torch.testing.assert_close(mix(layers), torch.full((1, 1, 2), 18.0))


def test_gal_ghahramani_2016_one_mask_serves_all_time_steps() -> None:
    dropped = VariationalDropout(0.5)(torch.ones(1, 50, 30)) == 0
    assert dropped.any()
    assert (dropped.all(1) == dropped.any(1)).all()


def test_hochreiter_schmidhuber_1997_an_open_forget_gate_keeps_the_cell() -> None:
    trunk = LSTMTrunk(1, num_layers=1, hidden_size=1, bidirectional=False).eval()
    for parameter in trunk.parameters():
        nn.init.zeros_(parameter)
    gates = torch.tensor([-100.0, 100.0, 0.0, 100.0])  # input shut, forget and output open
    trunk.layers[0].ahead.rnn.bias_ih_l0.data.copy_(gates)
    state = [(torch.zeros(1, 1), torch.full((1, 1), 0.7))]
    layers, after = trunk(torch.randn(1, 40, 1), torch.ones(1, 40, dtype=torch.bool), state)
    assert after[0][1].item() == pytest.approx(0.7)
    assert layers[1].flatten().tolist() == pytest.approx([math.tanh(0.7)] * 40)


def test_jozefowicz_2015_forget_gates_start_open() -> None:
    direction = LSTMTrunk(3, hidden_size=2).layers[0].ahead.rnn
    assert (direction.bias_ih_l0 + direction.bias_hh_l0)[2:4].tolist() == [1, 1]


def test_cho_2014_a_gru_has_three_quarters_of_the_weights_of_an_lstm() -> None:
    assert 4 * parameters(GRUTrunk(7)) == 3 * parameters(LSTMTrunk(7))


def test_ba_2016_table_1_scaling_a_weight_matrix_changes_nothing() -> None:
    lstm, x = StepwiseLSTM(3, 4, layer_norm=True).double(), torch.randn(2, 5, 3).double()
    before, _ = lstm(x)
    for weight in (lstm.weight_ih_l0, lstm.weight_hh_l0):
        weight.data.mul_(10)
    torch.testing.assert_close(lstm(x)[0], before, rtol=1e-2, atol=1e-3)  # but for epsilon


def test_sogaard_goldberg_2016_low_supervision_leaves_upper_layers_alone() -> None:
    trunk = LSTMTrunk(3, num_layers=3, hidden_size=2)
    layers, _ = trunk(torch.randn(1, 4, 3), torch.ones(1, 4, dtype=torch.bool))
    layers[1].sum().backward()
    reached = [any(p.grad is not None for p in layer.parameters()) for layer in trunk.layers]
    assert reached == [True, False, False]


def test_kingma_ba_2015_section_2_1_first_step_is_the_learning_rate() -> None:
    x = nn.Parameter(torch.tensor([3.0, -0.01]))
    optimizer = Adam([x], lr=0.1)
    x.grad = torch.tensor([1e-3, -1e4])
    optimizer.step()
    assert x.tolist() == pytest.approx([2.9, 0.09], rel=1e-4)


def test_loshchilov_hutter_2019_weight_decay_is_apart_from_the_gradient() -> None:
    x = nn.Parameter(torch.tensor([2.0]))
    optimizer = AdamW([x], lr=0.1, weight_decay=0.5)
    x.grad = torch.zeros(1)
    optimizer.step()
    assert x.item() == pytest.approx(2.0 * (1 - 0.1 * 0.5))


def test_nesterov_1983_the_gradient_is_taken_after_the_momentum() -> None:
    x = nn.Parameter(torch.tensor([0.0]))
    optimizer = SGD([x], lr=1.0, momentum=0.5, nesterov=True)
    x.grad = torch.ones(1)
    optimizer.step()
    assert x.item() == pytest.approx(-1.5)


def test_loshchilov_hutter_2017_equation_5_half_way_the_cosine_is_one_half() -> None:
    assert Cosine(10, warmup=0).factor(5, []) == pytest.approx(0.5)


def test_raffel_2020_temperature_two_draws_by_the_square_root() -> None:
    assert Temperature({"a": 9, "b": 1}).probabilities(0) == pytest.approx({"a": 0.75, "b": 0.25})


def test_stickland_murray_2019_alpha_falls_from_one_to_a_fifth() -> None:
    annealed = Annealed({"a": 32, "b": 1}, 11)
    assert annealed.probabilities(0)["a"] == pytest.approx(32 / 33)
    assert annealed.probabilities(10 * 33)["a"] == pytest.approx(2 / 3)


def test_tjong_kim_sang_buchholz_2000_chunks_need_equal_ends_and_type() -> None:
    metric = SpanF1()
    metric.update([("B-NP", "I-NP", "B-VP")], [("B-NP", "B-NP", "B-VP")])
    assert metric.compute() == pytest.approx({"span_f1": 0.4, "precision": 1 / 3, "recall": 0.5})
