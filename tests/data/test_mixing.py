"""The sampler: draws, epochs, sampling factors and progress."""

from __future__ import annotations

from collections import Counter
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.data.batching import batches
from mtl.data.mixing import (
    MIXING,
    Annealed,
    Draw,
    Joint,
    Progress,
    Proportional,
    RoundRobin,
    Sampler,
    Temperature,
    Uniform,
    constant_in_epoch,
)
from mtl.data.mixing.sampler import apportion
from mtl.errors import ConfigError

quick = settings(max_examples=40, deadline=None)
some_sizes = st.dictionaries(st.sampled_from("abcd"), st.integers(1, 12), min_size=1)
factors = st.dictionaries(st.sampled_from("abcd"), st.floats(0.1, 4))
names = pytest.mark.parametrize("name", list(MIXING))
SIZES = {"large": 80, "middle": 16, "small": 4}


def draws(schedule, epochs):
    return [draw for e in range(epochs) for step in schedule.epoch(e) for draw in step]


@names
@quick
@given(sizes=some_sizes, step=st.integers(0, 60))
def test_probabilities_sum_to_one(name, sizes, step):
    probabilities = MIXING.find(name)(sizes, 3).probabilities(step)
    assert sum(probabilities.values()) == pytest.approx(1)
    assert probabilities.keys() == sizes.keys()


@names
@quick
@given(sizes=some_sizes, sampling=factors, epochs=st.integers(1, 4), cut=st.integers(0, 30))
def test_every_batch_is_drawn_k_or_k_plus_one_times(name, sizes, sampling, epochs, cut):
    factors = {} if name == "joint" else sampling
    drawn = draws(Sampler(MIXING.find(name)(sizes, 3), 1, factors), epochs)
    counts = Counter((draw.corpus, draw.index) for draw in drawn[: len(drawn) - cut])
    for corpus, size in sizes.items():
        seen = [counts[corpus, index] for index in range(size)]
        assert max(seen) - min(seen) <= 1


@quick
@given(st.lists(st.integers(1, 30), min_size=1, max_size=30), st.integers(1, 5))
def test_every_sentence_is_seen_k_or_k_plus_one_times(lengths, epochs):
    def cut(epoch):
        return batches(lengths, seed=1, corpus="b", epoch=epoch, max_tokens=40)

    schedule = Sampler(Uniform({"a": 7, "b": len(cut(0))}), 1)
    drawn = [draw for draw in draws(schedule, epochs) if draw.corpus == "b"]
    seen = Counter(i for draw in drawn for i in cut(draw.epoch)[draw.index].tolist())
    assert {seen[i] for i in range(len(lengths))} <= {drawn[-1].epoch, drawn[-1].epoch + 1}


@names
@quick
@given(sizes=some_sizes, epoch=st.integers(0, 3))
def test_an_epoch_has_the_promised_steps_and_every_corpus(name, sizes, epoch):
    schedule = Sampler(MIXING.find(name)(sizes, 3), 1)
    steps = list(schedule.epoch(epoch))
    assert len(steps) == schedule.steps_per_epoch == schedule.mixing.steps_per_epoch
    assert Counter(d.corpus for step in steps for d in step) == schedule.counts(epoch)
    assert min(schedule.counts(epoch).values()) >= 1


@names
@quick
@given(sizes=some_sizes, steps=st.integers(4, 30), epochs=st.integers(1, 4))
def test_epochs_may_have_so_many_steps_and_drop_nothing(name, sizes, steps, epochs):
    schedule = Sampler(MIXING.find(name)(sizes, 3), 1, epoch_steps=steps)
    assert all(len(list(schedule.epoch(e))) == steps for e in range(epochs))
    counts = Counter((draw.corpus, draw.index) for draw in draws(schedule, epochs))
    for corpus, size in sizes.items():
        seen = [counts[corpus, index] for index in range(size)]
        assert max(seen) - min(seen) <= 1


def test_an_epoch_too_short_for_every_corpus_is_refused():
    with pytest.raises(
        ConfigError, match="epoch_steps: expected at least 3, one per corpus, got 2"
    ):
        Sampler(Proportional(SIZES), 1, epoch_steps=2)


@names
def test_a_schedule_is_a_pure_function_of_the_seed(name):
    mixing = MIXING.find(name)(SIZES, 5)
    walked = Sampler(mixing, 1)
    everything = [list(walked.epoch(e)) for e in range(3)]
    assert list(Sampler(mixing, 1).epoch(2)) == everything[2]
    rest = list(islice(Sampler(mixing, 1).epoch(1), 3, None))
    assert rest == everything[1][3:]


def test_seed_and_epoch_change_the_order():
    mixing = Proportional(SIZES)
    plan = Sampler(mixing, 1).plan(0)
    assert plan != Sampler(mixing, 2).plan(0)
    assert plan != Sampler(mixing, 1).plan(1)
    assert plan != sorted(plan)


def test_proportional_draws_each_batch_once_an_epoch():
    drawn = draws(Sampler(Proportional(SIZES), 1), 1)
    assert Counter(drawn) == {Draw(c, 0, i): 1 for c, n in SIZES.items() for i in range(n)}


def test_uniform_draws_each_corpus_equally_often():
    assert Sampler(Uniform(SIZES), 1).counts(0) == {"large": 34, "middle": 33, "small": 33}


@names
@quick
@given(sizes=some_sizes, sampling=factors, epoch=st.integers(0, 3))
def test_a_mixing_constant_in_an_epoch_is_drawn_as_if_asked_at_each_step(
    name, sizes, sampling, epoch
):
    constant = MIXING.find(name)
    factors = {} if name == "joint" else sampling
    each_step = type("EachStep", (constant,), {"probabilities": _probabilities_of(constant)})
    expected = Sampler(each_step(sizes, 3), 1, factors).counts(epoch)
    assert Sampler(constant(sizes, 3), 1, factors).counts(epoch) == expected


def _probabilities_of(mixing):
    return lambda self, step: mixing.probabilities(self, step)


def test_probabilities_are_asked_once_per_epoch_or_once_per_step():
    asked = []

    class Late(Uniform):
        def probabilities(self, step):
            asked.append(step)
            return {"a": 1.0, "b": 0.0} if step < 6 else {"a": 0.5, "b": 0.5}

    schedule = Sampler(Late({"a": 6, "b": 2}), 1)
    assert [schedule.counts(0), schedule.counts(0)] == [{"a": 7, "b": 1}] * 2
    assert asked == list(range(8))
    asked.clear()
    Late.probabilities = constant_in_epoch(Late.probabilities)
    assert Sampler(Late({"a": 6, "b": 2}), 1).counts(1) == {"a": 4, "b": 4}
    assert asked == [8]


def test_temperature_two_takes_the_square_root_of_the_sizes():
    probabilities = Temperature({"a": 16, "b": 4, "c": 1}).probabilities(0)
    assert probabilities == pytest.approx({"a": 4 / 7, "b": 2 / 7, "c": 1 / 7})


@pytest.mark.parametrize(("temperature", "like"), [(1.0, Proportional), (1e9, Uniform)])
def test_temperature_reaches_from_proportional_to_uniform(temperature, like):
    probabilities = Temperature(SIZES, temperature=temperature).probabilities(0)
    assert probabilities == pytest.approx(like(SIZES).probabilities(0))


def test_annealing_follows_stickland_and_murray():
    annealed = Annealed({"a": 32, "b": 1}, 5)
    exponents = [1, 0.8, 0.6, 0.4, 0.2, 0.2]
    expected = [32**alpha / (32**alpha + 1) for alpha in exponents]
    assert [annealed.probabilities(33 * e)["a"] for e in range(6)] == pytest.approx(expected)
    assert annealed.probabilities(32) == annealed.probabilities(0)


def test_annealing_in_a_single_epoch_is_proportional():
    assert Annealed(SIZES, 1).probabilities(0) == Proportional(SIZES).probabilities(0)


def test_round_robin_takes_turns():
    assert Sampler(RoundRobin({"a": 7, "b": 1, "c": 1}), 1).plan(0) == list("abcabcabc")


def test_joint_takes_a_batch_of_every_corpus_each_step():
    steps = list(Sampler(Joint({"a": 3, "b": 2}), 1).epoch(0))
    assert steps == [[Draw("a", 0, i), Draw("b", i // 2, i % 2)] for i in range(3)]


def test_progress_follows_jean_firat_and_johnson():
    mixing = Progress({"a": 70, "b": 20, "c": 10}, power=2.0, smoothing=0.1)
    schedule = Sampler(mixing, 1, epoch_steps=1000, reached=lambda _: {"a": 0.9, "b": 0.5})
    weights = {"a": 1 / (0.81 + 0.1), "b": 1 / (0.25 + 0.1), "c": 1 / (1 + 0.1)}
    expected = {name: 1000 * w / sum(weights.values()) for name, w in weights.items()}
    assert schedule.counts(3) == {name: pytest.approx(n, abs=1) for name, n in expected.items()}


def test_progress_draws_all_equally_often_until_there_are_scores():
    assert Sampler(Progress(SIZES), 1).counts(0) == Sampler(Uniform(SIZES), 1).counts(0)


def test_a_sampling_factor_holds_also_where_scores_are_followed():
    def counts(**sampling):
        reached = {"large": 0.9, "middle": 0.5}
        schedule = Sampler(Progress(SIZES), 1, sampling, 1000, lambda _: reached)
        return schedule.counts(1)

    plain, more = counts(), counts(middle=2.0)
    assert more["middle"] / more["large"] == pytest.approx(
        2 * plain["middle"] / plain["large"], rel=0.02
    )


def test_draws_depend_on_the_progress_before_each_epoch():
    def drawn(*reached):
        schedule = Sampler(Progress({"a": 10, "b": 10}), 1, reached=lambda e: reached[e])
        return list(schedule.epoch(len(reached) - 1))

    slow, fast = {"a": 0.1, "b": 1.0}, {"a": 1.0, "b": 0.1}
    assert drawn({}, slow, fast) == drawn({}, slow, fast) != drawn({}, fast, fast)
    assert [step[0].corpus for step in drawn({}, slow, fast)] == [
        step[0].corpus for step in drawn({}, fast, fast)
    ]


def test_a_sampling_factor_multiplies_the_batches_of_a_corpus():
    schedule = Sampler(Proportional(SIZES), 1, {"small": 2.5, "large": 0.5})
    assert schedule.counts(0) == {"large": 40, "middle": 16, "small": 10}
    assert schedule.steps_per_epoch == 66


def test_joint_mixing_refuses_sampling_factors():
    with pytest.raises(ConfigError, match="'sampling' has no effect; remove it"):
        Sampler(Joint(SIZES), 1, {"small": 2.0})


@quick
@given(
    st.dictionaries(st.sampled_from("abcde"), st.floats(0.001, 9), min_size=1), st.integers(0, 40)
)
def test_shares_are_divided_within_one_of_the_exact_quota(shares, more):
    total = len(shares) + more
    counts = apportion(shares, total)
    assert sum(counts.values()) == total
    assert min(counts.values()) >= 1
    scale = total / sum(shares.values())
    if min(shares.values()) * scale >= 1:
        assert all(abs(counts[n] - shares[n] * scale) < 1 for n in shares)
