"""Language models at the command line: scored in other ways, and made to write."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path

import pytest

from tests.cli import project as small
from tests.cli.command import mtl
from tests.training.texts import lines

RUN = """\
embedding: {words: {dim: 16}}
trunk: {type: gru, num_layers: 1, hidden_size: 16, dropout: 0}
tasks:
  next: {use: text/next, head: {type: lm, dropout: 0}}
  previous: {use: text/previous}
training:
  epochs: 6
  batch: {streams: 2, bptt: 8}
  optimizer: {type: adam, lr: 0.02}
"""
TEXT = """\
reader: {type: text}
files: {train: train.txt, test: test.txt}
tasks:
  next: {labels: {text: next}, head: lm, metric: perplexity}
  previous: {labels: {text: previous}, head: lm, metric: perplexity}
"""


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a trained language model."""
    folder = tmp_path_factory.mktemp("language")
    (folder / "run.yaml").write_text(RUN)
    (folder / "text.yaml").write_text(TEXT)
    for split, number in {"train": 80, "test": 30}.items():
        text = "".join(" ".join(words) + "\n" for words in lines(number, number))
        (folder / f"{split}.txt").write_text(text)
    before = Path.cwd()
    os.chdir(folder)
    try:
        result = mtl("train", "run.yaml")
    finally:
        os.chdir(before)
    assert result.code == 0, result.err
    return folder / "runs" / "run"


@pytest.fixture
def model(written: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the run folder, as it is called in the folder of its project."""
    monkeypatch.chdir(written.parents[1])
    return "runs/run"


def perplexity(model: str, *options: str) -> float:
    result = mtl("evaluate", model, *options, "--task", "next", "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)["next"]["perplexity"]


def test_a_run_is_measured_by_perplexity_and_characters(model: str) -> None:
    scores = json.loads(mtl("evaluate", model, "--json").out)
    assert [*scores] == ["next", "previous"]
    assert all([*own] == ["perplexity", "bits_per_character"] for own in scores.values())
    assert 1 < scores["next"]["perplexity"] < 9


@pytest.mark.parametrize(
    "options", [["--dynamic"], ["--cache", "--theta", "0"], ["--streams", "1"]]
)
def test_scoring_options_change_scores_reproducibly(model: str, options: list[str]) -> None:
    before = perplexity(model)
    found = perplexity(model, *options)
    assert found != before
    assert perplexity(model, *options) == found
    assert perplexity(model) == before


def test_they_change_little_where_they_are_turned_down(model: str) -> None:
    before = perplexity(model)
    for options in (["--dynamic", "--lr", "0"], ["--cache", "--weight", "1e-9"]):
        assert perplexity(model, *options) == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize("way", [[], ["--plain"], ["--cache", "--json"]])
def test_a_model_that_learns_much_too_fast_says_so(model: str, way: list[str]) -> None:
    result = mtl("evaluate", model, "--dynamic", "--lr", "1e6", *way)
    assert (result.code, result.out) == (2, "")
    assert "dynamic evaluation diverged; lower --lr" in result.err


def test_a_cache_that_is_much_too_sure_says_so(model: str) -> None:
    result = mtl("evaluate", model, "--cache", "--theta", "1e300")
    assert (result.code, result.out) == (2, "")
    assert "the cache is too confident; lower --theta" in result.err


def test_they_are_for_tasks_that_give_the_next_word(model: str) -> None:
    assert [*json.loads(mtl("evaluate", model, "--cache", "--json").out)] == ["next"]
    result = mtl("evaluate", model, "--cache", "--task", "previous")
    assert result.err == (
        "error: task 'previous' is not a language model that predicts the next word of "
        "running text\n"
    )
    assert result.code == 2


@pytest.mark.parametrize("verb", [("evaluate", "--dynamic"), ("generate", "--prompt", "Ann")])
def test_a_tagger_is_no_language_model(trained: Path, verb: tuple[str, ...]) -> None:
    command, *options = verb
    result = mtl(command, str(trained), *options)
    assert result.code == 2
    assert "the model has no task that predicts the next word" in result.err


def test_a_text_goes_on(model: str) -> None:
    result = mtl("generate", model, "--prompt", "a  b", "--length", "12", "--seed", "3")
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("a b")
    assert result.out.endswith("\n")
    ends = result.out.count("\n") - 1
    assert 12 + 2 - 1 <= len(result.out.split()) + ends <= 12 + 2
    assert set(result.out.split()) <= set("abcxy")


def test_a_seed_and_greed_give_the_same_text_again(model: str) -> None:
    for options in (["--seed", "5"], ["--top-k", "1", "--seed", "5"], ["--top-p", "0.5"]):
        first, again = (mtl("generate", model, *options).out for _ in range(2))
        assert first == again
    greedy = [mtl("generate", model, "--top-k", "1", "--seed", seed).out for seed in "123"]
    assert len(set(greedy)) == 1
    assert len({mtl("generate", model, "--seed", seed).out for seed in "123"}) == 3


def test_a_beam_gives_one_text(model: str) -> None:
    first, again = (mtl("generate", model, "--beam", "3", "--length", "9") for _ in range(2))
    assert (first.code, first.err) == (0, "")
    assert first.out == again.out
    assert len(first.out.split()) + first.out.count("\n") - 1 <= 9


@pytest.mark.slow
def test_a_model_of_characters_is_measured_by_words_and_writes_them(project: Path) -> None:
    text = "the cat saw Rome\na Roman saw the cats\n" * 30
    for split in ("train", "test"):
        Path(f"{split}.txt").write_text(text)
    Path("text.yaml").write_text(TEXT.replace("{type: text}", "{type: text, tokenize: characters}"))
    Path("run.yaml").write_text(RUN.replace("{dim: 16}", "{dim: 16, lowercase: false}"))
    trained = mtl("train", "run.yaml", "training.epochs=12")
    assert trained.code == 0, trained.err
    scores = json.loads(mtl("evaluate", "runs/run", "--json").out)["next"]
    bits = math.log2(scores["perplexity"]) * (len(text.split()) + 60)
    characters = len(text) - len("t ")  # nothing comes before the first one, so it is not given
    assert scores["bits_per_character"] * characters == pytest.approx(bits)
    assert scores["bits_per_character"] < 1
    found = mtl("generate", "runs/run", "--prompt", "the cat saw Ro", "--top-k", "1").out
    assert found.startswith(("the cat saw Rome\n", "the cat saw Roman "))


@pytest.mark.slow
def test_a_model_of_subwords_writes_whole_words_and_is_measured_by_them(project: Path) -> None:
    text = "naïve walkers walked home\nthe talkers talked\n" * 30
    for split in ("train", "test"):
        Path(f"{split}.txt").write_text(text)
    reader = "{type: text, tokenize: subwords, subwords: 270}"
    Path("text.yaml").write_text(TEXT.replace("{type: text}", reader))
    Path("run.yaml").write_text(RUN.replace("{dim: 16}", "{dim: 16, lowercase: false}"))
    trained = mtl("train", "run.yaml", "training.epochs=12")
    assert trained.code == 0, trained.err
    assert "text: split into subwords, 270 different ones" in trained.err
    scores = json.loads(mtl("evaluate", "runs/run", "--json").out)["next"]
    bits = math.log2(scores["perplexity"]) * (len(text.split()) + 60 - 1)
    characters = len(text) - 1  # the first subword is not given, and is n or the blank before it
    assert scores["bits_per_character"] * characters == pytest.approx(bits, rel=1e-2)
    found = mtl("generate", "runs/run", "--prompt", "naïve walkers", "--top-k", "1").out
    assert found.startswith("naïve walkers walked home\nthe talkers ")
    Path("text.yaml").write_text(Path("text.yaml").read_text().replace("270", "100"))
    refused = mtl("check", "run.yaml")
    assert (refused.code, refused.out) == (2, "")
    assert "text.yaml:1:52: reader.subwords: expected a whole number of at least 256" in refused.err


def test_the_task_must_give_the_next_word(model: str) -> None:
    result = mtl("generate", model, "--task", "previous")
    message = "task 'previous' is not a language model that predicts the next word"
    assert (result.code, result.err) == (2, f"error: {message}\n")


def test_a_model_of_sentences_needs_a_prompt_and_ends_with_the_sentence(project: Path) -> None:
    news = small.NEWS + "  next: {labels: {text: next}, head: lm, metric: perplexity}\n"
    Path("tasks/news.yaml").write_text(news)
    run = small.RUN.replace("mood: {use: mood/mood}", "next: {use: news/next}")
    Path("run.yaml").write_text(run + "  metric: ner.span_f1\n")
    trained = mtl("train", "run.yaml")
    assert trained.code == 0, trained.err
    result = mtl("generate", "runs/run")
    assert "the model was trained on single sentences, so it needs a prompt" in result.err
    result = mtl("generate", "runs/run", "--prompt", "Ann", "--length", "200")
    assert result.code == 0, result.err
    assert result.out.count("\n") == 1
    result = mtl("evaluate", "runs/run", "--cache")
    assert "predicts the next word of running text" in result.err
    assert "next" not in mtl("predict", "runs/run", "--format", "jsonl", stdin="Ann left .").out


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("evaluate runs/run --lr 0.1", "has no effect without --dynamic"),
        ("evaluate runs/run --cache --plain", "has no effect without --dynamic"),
        ("evaluate runs/run --dynamic --window 5", "has no effect without --cache"),
        ("evaluate runs/run --dynamic --lr inf", "less than or equal to 1000000"),
        ("generate runs/run --seed 99999999999999999999", "less than or equal to 9223372036854775"),
        ("generate runs/run --beam 3 --top-k 2", "has no effect with --beam"),
        ("generate runs/run --beam 0", "greater than or equal to 1"),
        ("generate runs/run --beam 1001", "less than or equal to 1000"),
    ],
)
def test_options_that_do_nothing_or_too_much_are_refused(
    model: str, command: str, said: str
) -> None:
    result = mtl(*command.split())
    assert result.code == 2
    assert said in " ".join(result.err.split())


def test_a_page_has_the_curves_of_language_models_but_no_wrong_answers(model: str) -> None:
    result = mtl("report", model, "--html", "page.html", "--split", "test")
    assert (result.code, result.err) == (0, "")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "next: training loss" in page
    assert "next has no labels whose errors can be listed" in page
    missing = mtl("report", model, "--html", "page.html")
    assert "no predictions" in missing.err
    assert "no predictions" in Path("page.html").read_text(encoding="utf-8")
