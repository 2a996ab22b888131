"""The answers of the server: the same records as of the model in this process."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mtl.serving.served_model import ServedModel, open_model
from mtl.trained_model import TrainedModel
from tests.cli.command import mtl
from tests.runtime import built
from tests.serving.client import Client, serving

TEXTS = ["Ann Smith left New Rome.", ["Bob", "saw", "Oslo", "."], "", "Good. Bad!\nNice news.", []]


def records(model: TrainedModel, texts: Any, **options: Any) -> list[dict[str, Any]]:
    return [found.to_dict() for found in model.annotate(texts, **options)]


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tasks": ["ner"]},
        {"tasks": ["mood", "pos"], "confidence": True},
        {"abstain": 0.9},
        {"tasks": ["mood"], "attention": True},
        {"unit": "sentence"},
        {"unit": "record", "confidence": True},
    ],
)
def test_records_are_those_of_the_model(
    client: Client, trained: TrainedModel, options: dict[str, Any]
) -> None:
    found = client.predict(TEXTS, **options)
    assert rounded(found) == rounded(records(trained, TEXTS, **options))


def test_attention_of_the_tasks_that_have_it(client: Client) -> None:
    (found,) = client.predict(["good news"], attention=True)
    assert list(found["attention"]) == ["mood"]


def test_a_single_text_or_its_words(client: Client, trained: TrainedModel) -> None:
    assert client.post({"text": TEXTS[0]}).json["predictions"] == records(trained, TEXTS[:1])
    assert client.post({"tokens": TEXTS[1]}).json["predictions"] == records(trained, TEXTS[1:2])


def test_no_texts(client: Client) -> None:
    assert client.predict([]) == []


def test_records_are_those_of_the_command(client: Client, folder: Path) -> None:
    out = mtl("predict", str(folder), "--format", "jsonl", "--confidence", stdin="Ann left Rome.")
    text = client.post({"text": "Ann left Rome.", "confidence": True}).body.decode()
    assert text == f'{{"predictions": [{out.out.rstrip()}]}}\n'


def test_null_options_are_defaults(client: Client) -> None:
    options = dict.fromkeys(["tasks", "abstain", "unit"])
    assert client.predict(TEXTS, **options) == client.predict(TEXTS)


texts = st.lists(st.text() | st.lists(st.text(max_size=8), max_size=8), max_size=6)


@settings(max_examples=20)
@given(texts, st.booleans())
def test_any_texts(client: Client, trained: TrainedModel, texts: Any, confidence: bool) -> None:
    found = client.predict(texts, confidence=confidence)
    expected = records(trained, texts, confidence=confidence)
    assert rounded(found) == rounded(expected)


def rounded(value: Any) -> Any:
    """Return records with four digits: the sum of a batch depends on the other texts."""
    if isinstance(value, dict):
        return {name: rounded(own) for name, own in value.items()}
    if isinstance(value, list):
        return [rounded(own) for own in value]
    return round(value, 4) if isinstance(value, float) else value


def test_concurrent_requests_get_their_own_predictions(
    client: Client, trained: TrainedModel
) -> None:
    sentences = [f"{name} saw {place} {k} times." for k in range(8) for name, place in PAIRS]
    options: list[dict[str, Any]] = [{}, {"confidence": True}, {"tasks": ["ner"]}]
    before = client.metric("mtl_batch_texts_count")
    with ThreadPoolExecutor(16) as pool:
        found = list(
            pool.map(
                lambda k: client.predict([sentences[k]], **options[k % 3]), range(len(sentences))
            )
        )
    for k, sentence in enumerate(sentences):
        expected = records(trained, [sentence], **options[k % 3])
        assert rounded(found[k]) == rounded(expected)
    assert client.metric("mtl_batch_texts_count") - before < len(sentences)


PAIRS = [("Ann", "Rome"), ("Bob", "Oslo"), ("Eva", "Bonn"), ("Tom", "Lima")]


def test_a_request_larger_than_a_batch(client: Client, trained: TrainedModel) -> None:
    sentences = [f"{PAIRS[k % 4][0]} left {PAIRS[k % 3][1]} ." for k in range(700)]
    before = client.metric("mtl_batch_texts_count")
    assert client.predict(sentences) == records(trained, sentences)
    assert client.metric("mtl_batch_texts_count") - before == 3


def test_a_bundle(folder: Path, trained: TrainedModel, tmp_path: Path) -> None:
    built.kernels()
    path = tmp_path / "model.mtl"
    trained.save_bundle(path, ["ner", "pos"])
    with serving(open_model(path)) as client:
        assert client.get("/health").json["model"] == "model.mtl"
        expected = records(trained, TEXTS, tasks=["ner", "pos"])
        assert client.predict(TEXTS) == expected
        found = client.predict(TEXTS, confidence=True)
        expected = records(trained, TEXTS, tasks=["ner", "pos"], confidence=True)
        assert rounded(found) == rounded(expected)
        refused = client.post({"text": "Ann", "attention": True})
        assert refused.told == (422, "attention")


def test_an_error_of_one_request_is_not_that_of_others(served: ServedModel) -> None:
    import dataclasses

    from mtl.errors import MtlError

    def annotate(texts: Any, tasks: Any, **options: Any) -> Any:
        if "broken" in texts:
            raise ZeroDivisionError
        if "refused" in texts:
            raise MtlError("too long")
        return served.annotate(texts, tasks, **options)

    broken = dataclasses.replace(served, annotate=annotate)
    texts = ["broken", "Ann", "refused"] * 8
    with serving(broken) as client, ThreadPoolExecutor(24) as pool:
        found = list(pool.map(lambda text: client.post({"text": text}), texts))
    assert [answer.status for answer in found] == [500, 200, 422] * 8
    assert found[2].json == {"error": "too long"}
