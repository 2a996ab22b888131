"""Exports of annotation tools: the tags of the words mean the same spans as the offsets."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from mtl.errors import DataError
from mtl.inspection.annotations import read_export
from mtl.text.spans import read_spans

TEXT = "Anna Smith lives in New York. Bob left Rome!"
SPANS = [(0, 10, "PER"), (20, 28, "LOC"), (30, 33, "PER"), (39, 43, "LOC")]
EXPECTED = [
    (["Anna", "Smith", "lives", "in", "New", "York", "."],
     ["B-PER", "I-PER", "O", "O", "B-LOC", "I-LOC", "O"]),
    (["Bob", "left", "Rome", "!"], ["B-PER", "O", "B-LOC", "O"]),
]  # fmt: skip


def _doccano(folder: Path) -> Path:
    path = folder / "doccano.jsonl"
    path.write_text(json.dumps({"id": 1, "text": TEXT, "label": SPANS}) + "\n")
    return path


def _doccano_objects(folder: Path) -> Path:
    spans = [{"id": 1, "start_offset": s, "end_offset": e, "label": x} for s, e, x in SPANS]
    path = folder / "objects.jsonl"
    path.write_text(json.dumps({"text": TEXT, "entities": spans, "relations": []}) + "\n")
    return path


def _prodigy(folder: Path) -> Path:
    spans = [{"start": s, "end": e, "label": x, "token_start": 0} for s, e, x in SPANS]
    accepted = {"text": TEXT, "spans": spans, "tokens": [{"text": "Anna"}], "answer": "accept"}
    rejected = {"text": "No.", "spans": [], "answer": "reject"}
    path = folder / "prodigy.jsonl"
    path.write_text(f"{json.dumps(accepted)}\n{json.dumps(rejected)}\n")
    return path


def _label_studio(folder: Path) -> Path:
    results = [
        {"from_name": "label", "type": "labels",
         "value": {"start": s, "end": e, "text": TEXT[s:e], "labels": [x]}}
        for s, e, x in SPANS
    ]  # fmt: skip
    task = {"id": 7, "data": {"text": TEXT}, "annotations": [{"result": results}]}
    path = folder / "studio.json"
    path.write_text(json.dumps([task], indent=2))
    return path


def _brat(folder: Path) -> Path:
    path = folder / "brat"
    path.mkdir()
    (path / "a.txt").write_text(TEXT)
    rows = [f"T{i}\t{x} {s} {e}\t{TEXT[s:e]}\n" for i, (s, e, x) in enumerate(SPANS)]
    (path / "a.ann").write_text("".join(rows) + "R1\tlives Arg1:T0 Arg2:T1\n#1\tNote T0\tok\n")
    return path


@pytest.mark.parametrize("write", [_doccano, _doccano_objects, _prodigy, _label_studio, _brat])
def test_spans_become_tags(tmp_path: Path, write: object) -> None:
    found = read_export(write(tmp_path))
    assert found
    assert [(r["tokens"], r["ner"]) for r in found[1]] == EXPECTED


def _choice(label: str) -> dict[str, object]:
    return {"from_name": "mood", "type": "choices", "value": {"choices": [label]}}


def _person(start: int, end: int) -> dict[str, object]:
    value = {"start": start, "end": end, "labels": ["PER"]}
    return {"from_name": "ner", "type": "labels", "value": value}


@pytest.mark.parametrize(
    "rows",
    [
        [
            {"data": {"text": "Ann left."},
             "annotations": [{"result": [_person(0, 3), _choice("good")]}]},
            {"data": {"text": "It rains."}, "annotations": [{"result": [_choice("good")]}]},
        ],
        [
            {"text": "Ann left.", "spans": [{"start": 0, "end": 3, "label": "PER"}],
             "label": "good", "answer": "accept"},
            {"text": "It rains.", "label": "good", "answer": "accept"},
        ],
    ],
    ids=["Label Studio", "Prodigy"],
)  # fmt: skip
def test_a_text_without_spans_has_tags_if_others_have_spans(tmp_path: Path, rows: object) -> None:
    path = tmp_path / "export.json"
    path.write_text(json.dumps(rows))
    found = read_export(path)
    assert found
    labels = {"label": "good"} if found[0] == "Prodigy" else {"mood": "good"}
    assert found[1] == [
        {"tokens": ["Ann", "left", "."], "ner": ["B-PER", "O", "O"], **labels},
        {"tokens": ["It", "rains", "."], "ner": ["O", "O", "O"], **labels},
    ]


@pytest.mark.parametrize(("start", "end"), [(11, 14), (13, 16)], ids=["in lines", "in bytes"])
def test_spans_of_brat_are_found_in_files_of_windows(tmp_path: Path, start: int, end: int) -> None:
    (tmp_path / "a.txt").write_bytes(b"It rains.\r\n\r\nAnn left.\r\n")
    (tmp_path / "a.ann").write_bytes(b"T1\tPER %d %d\tAnn\r\n" % (start, end))
    found = read_export(tmp_path)
    assert found
    assert found[1] == [
        {"tokens": ["It", "rains", "."], "ner": ["O", "O", "O"]},
        {"tokens": ["Ann", "left", "."], "ner": ["B-PER", "O", "O"]},
    ]


def test_labels_of_a_text_keep_it_whole(tmp_path: Path) -> None:
    results = [
        {"from_name": "label", "value": {"start": 0, "end": 4, "labels": ["PER"]}},
        {"from_name": "tone", "value": {"choices": ["good"]}},
        {"from_name": "topics", "value": {"choices": ["a", "b"]}},
    ]
    task = {"data": {"text": TEXT}, "annotations": [{"result": results}]}
    path = tmp_path / "studio.json"
    path.write_text(json.dumps([task]))
    found = read_export(path)
    assert found
    [record] = found[1]
    assert record["tone"] == "good"
    assert record["topics"] == ["a", "b"]
    assert record["tokens"] == EXPECTED[0][0] + EXPECTED[1][0]


def test_labels_of_texts_beside_the_spans_of_doccano_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "export.jsonl"
    rows = [
        {"id": i, "text": f"Ann left {i} times.", "cats": [["a", "b"][i % 2]], "urgency": i % 3,
         "entities": [[0, 3, "PER"]], "relations": [], "Comments": [], "tokens": ["Ann", "left"]}
        for i in range(30)
    ]  # fmt: skip
    path.write_text("\n".join(map(json.dumps, rows)))
    found = read_export(path)
    assert found
    assert found[1][4] == {
        "tokens": ["Ann", "left", "4", "times", "."],
        "ner": ["B-PER", "O", "O", "O", "O"],
        "cats": "a",
        "urgency": 1,
    }


def test_texts_with_spans_only_are_divided_and_counted(tmp_path: Path) -> None:
    found = read_export(_doccano(tmp_path))
    assert found
    assert found[2].lines() == [
        "note: texts divided into sentences, as only their spans have labels: 1"
    ]


def test_sets_and_single_labels_are_not_mixed(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(
        json.dumps({"text": "It rains.", "label": labels}) + "\n" for labels in (["a"], ["a", "b"])
    ))  # fmt: skip
    found = read_export(path)
    assert found
    assert [record["label"] for record in found[1]] == [["a"], ["a", "b"]]
    path.write_text("".join(
        json.dumps({"text": "It rains.", "label": labels}) + "\n" for labels in (["a"], [])
    ))  # fmt: skip
    found = read_export(path)
    assert found
    assert [record["label"] for record in found[1]] == ["a", None]


def test_ratings_and_numbers_of_label_studio_are_labels(tmp_path: Path) -> None:
    results = [
        {"from_name": "stars", "type": "rating", "value": {"rating": 4}},
        {"from_name": "price", "type": "number", "value": {"number": 2.5}},
        {"from_name": "why", "type": "textarea", "value": {"text": ["It is good."]}},
    ]
    path = tmp_path / "studio.json"
    path.write_text(json.dumps([{"data": {"text": TEXT}, "annotations": [{"result": results}]}]))
    found = read_export(path)
    assert found
    assert found[1] == [{"text": TEXT, "stars": 4, "price": 2.5}]
    assert found[2].lines() == [
        "note: results left out; only spans, choices, ratings and numbers are read: 1"
    ]


def test_offsets_and_tags_agree_on_random_texts(tmp_path: Path) -> None:
    draw = random.Random(3)
    for case in range(60):
        text = "".join(draw.choice(["a", "B", "é", ".", ",", " ", "-", "1"]) for _ in range(30))
        borders = sorted(draw.sample(range(len(text) + 1), 6))
        spans = [
            (s, e, f"L{i}")
            for i, (s, e) in enumerate(zip(borders[::2], borders[1::2], strict=True))
            if text[s:e].strip()
        ]
        if not spans:
            continue
        path = tmp_path / f"{case}.jsonl"
        path.write_text(json.dumps({"text": text, "label": spans}))
        found = read_export(path)
        assert found
        decoded = [
            (span.type, "".join(record["tokens"][span.start : span.end]))
            for record in found[1]
            for span in read_spans(record["ner"])
        ]
        # Blanks separate words and belong to none.
        assert decoded == [(label, "".join(text[s:e].split())) for s, e, label in spans]


def test_what_tags_cannot_express_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    spans = [[0, 10, "PER"], [5, 10, "NAME"], [0, 10, "PER"]]
    path.write_text(json.dumps({"text": TEXT, "label": spans}))
    found = read_export(path)
    assert found
    assert found[2].lines()[0] == "note: spans left out because they overlap a longer span: 1"
    assert found[1][0]["ner"][:2] == ["B-PER", "I-PER"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"text": "ab", "label": [[0, 9, "X"]]}', "a.jsonl:1: span 0 to 9 is outside the text"),
        ('[{"text": "a"},', "a.jsonl:1: invalid JSON"),
        ("[1, 2]", "expected JSON objects"),
        ("[" * 100_000, "invalid JSON"),
    ],
)
def test_a_damaged_export_is_one_error(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_export(path)


def test_a_folder_without_annotations_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no \*\.ann file"):
        read_export(tmp_path)


@pytest.mark.parametrize(
    "content",
    ["word TAG\n", '{"text": "a b", "label": "x"}\n', '{"tokens": ["a"], "pos": ["X"]}\n'],
)
def test_other_files_are_no_exports(tmp_path: Path, content: str) -> None:
    path = tmp_path / "a.txt"
    path.write_text(content)
    assert read_export(path) is None


def test_spans_of_words_are_one_error(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"tokens": ["Ann", "Lee"], "spans": [[0, 2, "PER"]]}))
    with pytest.raises(DataError, match=r"a\.jsonl:1: 'spans' has spans of 'tokens'"):
        read_export(path)
