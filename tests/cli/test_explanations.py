"""`mtl predict --explain` with weights of words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import mtl as library
from mtl.cli.explanations import headline
from mtl.inference.explanation import Attribution
from tests.cli.command import mtl

TEXT = "Ann saw New Rome.\nThis is great food.\n"


def explained(model: str, *options: str, stdin: str = TEXT, note: str = "") -> str:
    result = mtl("predict", model, "--explain", *options, stdin=stdin)
    assert (result.code, result.err) == (0, note)
    return result.out


def test_heads_without_attention_have_weights_that_add_up(model: str) -> None:
    for line in explained(model, "--format", "jsonl").splitlines():
        record = json.loads(line)
        assert record["explanation"]["method"] == "integrated"
        answers = record["explanation"]["tasks"]
        assert list(answers) == ["ner", "pos", "mood"]
        assert [answer["answer"] for answer in answers["pos"]] == record["pos"]
        spans = [(answer["answer"], answer["tokens"]) for answer in answers["ner"]]
        assert spans == [(span["type"], span["tokens"]) for span in record["spans"]["ner"]]
        for answer in [*answers["ner"], *answers["pos"], *answers["mood"]]:
            total = answer["score"] - answer["baseline"] + answer["gap"]
            assert sum(answer["weights"]) == pytest.approx(total, abs=1e-4)


def test_the_command_writes_the_weights_of_python(model: str) -> None:
    options = ["--method", "occlusion", "--task", "mood", "--format", "jsonl"]
    lines = explained(model, *options).splitlines()
    found = library.load(model).explain(TEXT.splitlines(), ["mood"], method="occlusion")
    expected = [own.to_dict()["explanation"] for own in found]
    assert [json.loads(line)["explanation"] for line in lines] == expected


def test_text_shows_answers_words_and_the_largest_weights(model: str) -> None:
    out = explained(model, "--task", "pos", "--token", "Rome", "--method", "gradient")
    first, second = out.split("\n\n")[:2]
    (own,) = library.load(model).explain(["Ann saw New Rome."], ["pos"], method="gradient")
    rome = own["pos"][3]
    lines = first.splitlines()
    assert lines[0] == f"pos: Rome = {rome.answer} (log-odds {rome.score:.2f})"
    assert lines[1] == "  Ann saw New Rome ."
    largest = max(zip(rome.weights, own.prediction.tokens, strict=True), key=lambda w: abs(w[0]))
    assert lines[2].strip().startswith(f"{largest[1]} {largest[0]:+.2f}, ")
    assert second == "pos: nothing to explain"


def test_words_for_an_answer_are_blue_and_words_against_it_orange(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    out = explained(model, "--task", "mood", "--method", "occlusion")
    (own, *_) = library.load(model).explain(TEXT.splitlines(), ["mood"], method="occlusion")
    weights = own["mood"][0].weights
    strongest = max(range(len(weights)), key=lambda t: abs(weights[t]))
    colour = 21 if weights[strongest] > 0 else 166
    assert f"\x1b[37;48;5;{colour}m{own.prediction.tokens[strongest]}\x1b[0m" in out


def test_a_page_has_all_answers(model: str, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert explained(model, "--output", str(page), "--task", "mood") == ""
    (first, second) = library.load(model).explain(TEXT.splitlines(), ["mood"])
    html = page.read_text("utf-8")
    for own in (first, second):
        assert f"<h3>mood: {headline(own, own['mood'][0])}</h3>" in html
    assert html.count('class="weight') >= 2
    assert explained(model, "--format", "html", "--task", "mood") == html


def test_markup_in_a_text_stays_text(model: str) -> None:
    html = explained(model, "--format", "html", "--task", "pos", stdin="a <script>x</script>\n")
    assert html.count("<script>") == 1  # the script of the page
    assert "&lt;" in html


def test_texts_without_words_have_no_weights(model: str) -> None:
    out = explained(model, "--input", "jsonl", "--task", "mood", stdin='{"text": ""}')
    assert out == "mood: no words\n\n"


def test_fields_of_the_input_keep_their_names(model: str) -> None:
    line = '{"text": "Ann left.", "mood": "gold", "explanation": 1}'
    note = (
        "note: the input has a field 'explanation'; the prediction is in 'predicted_explanation'\n"
        "note: the input has a field 'mood'; the prediction is in 'predicted_mood'\n"
    )
    options = ["--input", "jsonl", "--task", "mood", "--format", "jsonl"]
    record = json.loads(explained(model, *options, stdin=line, note=note))
    assert (record["mood"], record["explanation"]) == ("gold", 1)
    assert record["predicted_explanation"]["tasks"]["mood"][0]["answer"] == record["predicted_mood"]


def test_a_large_gap_is_named(model: str) -> None:
    (own,) = library.load(model).explain(["Ann left."], ["mood"])
    rough = Attribution("glad", None, 2.0, (1.0, 1.5), baseline=0.0, gap=0.5)
    assert headline(own, rough).endswith("exact sum by 0.5; use more --steps")
    number = Attribution(2.5, None, 2.5, (1.0, 1.5))
    assert headline(own, number) == "2.5"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--method", "gradient"], "'--method': has no effect without --explain"),
        (["--token", "a"], "'--token': has no effect without --explain"),
        (["--explain", "--format", "csv"], "csv has no weights of words"),
        (["--explain", "--output", "out.conll"], "conll has no weights of words"),
        (["--explain", "--workers", "2"], "--workers: has no effect with --method integrated"),
        (["--explain", "--method", "gradient", "--steps", "3"], "no effect with --method gradient"),
        (["--explain", "--abstain", "0.5"], "--abstain: has no effect with --method integrated"),
        (["--explain", "--method", "attention"], "the head has no attention"),
        (["--format", "html"], "html shows words shaded by weights; add --explain"),
        (["--output", "out.html"], "html shows words shaded by weights; add --explain"),
    ],
)
def test_options_without_effect_are_refused(model: str, options: list[str], expected: str) -> None:
    result = mtl("predict", model, *options, stdin=TEXT)
    assert result.code == 2
    assert expected.replace("'", "") in " ".join(result.err.split()).replace("'", "")
