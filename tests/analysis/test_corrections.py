"""Corrected copies of files: identical, byte for byte, except for the corrected labels."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from mtl.analysis.audit.folds import CHECKSUM
from mtl.analysis.audit.issues import Change, Issue, read_issues, write_issues
from mtl.analysis.corrections.correct import correct
from mtl.errors import MtlError

RUN = """\
embedding: {{words: {{dim: 4}}}}
trunk: {{type: lstm, hidden_size: 4}}
corpora:
  own:
    reader: {reader}
    files: {{train: {file}}}
    tasks: {{own: {{labels: {labels}, head: {head}, metric: {metric}}}}}
tasks: {{own: {{use: own/own}}}}
training: {{patience: null}}
"""
WORDS = st.text("ab,;'\"éß#|=:. ", min_size=1, max_size=6).map(str.strip).filter(bool)
NAMES = st.text("ABß-", min_size=1, max_size=4)
ENDS = st.sampled_from(["\n", "\r\n"])
quick = settings(
    max_examples=12,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def issue(file: Path, line: int, *changes: Change, task: str = "own") -> Issue:
    checksum = hashlib.blake2b(file.read_bytes()).hexdigest()[:CHECKSUM]
    place = (str(file), checksum, line, 0, None, None, ("w",), changes)
    return Issue(task, "label", "", "", 0.5, 0.5, 0.5, *place)


def corrected(
    folder: Path, text: str | bytes, reader: str, *found: tuple[int, Change], **more: str
) -> bytes:
    """Write a file, correct it, and return the bytes of the copy."""
    file = folder / more.pop("name", "data.txt")
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return apply(folder, file, reader, [issue(file, *own) for own in found], **more)


def apply(
    folder: Path,
    file: Path,
    reader: str,
    issues: list[Issue],
    labels: str = "label",
    head: str = "softmax",
    metric: str = "accuracy",
) -> bytes:
    run = RUN.format(reader=reader, file=file.name, labels=labels, head=head, metric=metric)
    (folder / "run.yaml").write_text(run)
    write_issues(issues, folder / "issues.jsonl")
    output = folder / "copies"
    for old in output.iterdir() if output.exists() else ():
        old.unlink()
    if output.exists():
        output.rmdir()
    (copy,) = correct(folder / "run.yaml", folder / "issues.jsonl", output=output)
    return copy.path.read_bytes()


# ---- files with one word per line


@quick
@given(st.data())
def test_columns(tmp_path: Path, data: st.DataObject) -> None:
    separator = data.draw(st.sampled_from(["\t", " ", "  "]))
    end, mark = data.draw(ENDS), data.draw(st.sampled_from(["", "\ufeff"]))
    words = WORDS.map(lambda word: word.replace(" ", "_").lstrip("#") or "w")
    rows = data.draw(st.lists(st.tuples(words, NAMES, NAMES, NAMES), min_size=1, max_size=5))
    kept = [data.draw(st.booleans()) for _ in rows]

    def text(new: bool) -> str:
        lines = [
            separator.join([word, last if new and not same else first, other])
            for (word, first, other, last), same in zip(rows, kept, strict=True)
        ]
        return mark + end.join(["# a = b", *lines, "", separator.join(["w", "A", "B"])])

    changes = [
        Change(place, first, last)
        for place, ((_, first, _, last), same) in enumerate(zip(rows, kept, strict=True))
        if not same
    ] or [Change(0, rows[0][1], rows[0][1])]
    reader = "{type: conll, columns: [tokens, label, other]}"
    (tmp_path / "data.txt").write_bytes(text(False).encode())
    issues = [issue(tmp_path / "data.txt", 2, *changes)]
    assert apply(tmp_path, tmp_path / "data.txt", reader, issues) == text(True).encode()


CONLLU = """\
# sent_id = news-1
# genre = news
1-2\tdon't\t_\t_\t_\t_\t_\t_\t_\t_
1\tdo\tdo\tAUX\tVB\tMood=Ind|Number=Sing\t0\troot\t_\t_
2\tnot\tnot\tPART\tRB\t_\t1\tadvmod\t_\tA=b|C=d
2.1\tx\tx\tX\tX\t_\t_\t_\t_\t_

"""


@pytest.mark.parametrize(
    ("labels", "change", "old", "new"),
    [
        ("upos", Change(1, "PART", "ADV"), "\tPART\t", "\tADV\t"),
        ("{feature: Number}", Change(0, "Sing", "Plur"), "Number=Sing", "Number=Plur"),
        ("{misc: C}", Change(1, "d", "eé"), "C=d", "C=eé"),
        ("{metadata: genre}", Change(None, "news", "blog"), "genre = news", "genre = blog"),
        (
            '{metadata: sent_id, pattern: "^([a-z]+)-"}',
            *(Change(None, "news", "blog"), "sent_id = news-1", "sent_id = blog-1"),
        ),
    ],
)
def test_conllu(tmp_path: Path, labels: str, change: Change, old: str, new: str) -> None:
    reader, head = "{type: conllu}", "softmax" if change.token is not None else "pool"
    found = corrected(tmp_path, CONLLU * 2, reader, (3 + 7, change), labels=labels, head=head)
    assert found.decode() == CONLLU + CONLLU.replace(old, new)


def test_a_compressed_file_stays_compressed(tmp_path: Path) -> None:
    packed = gzip.compress(CONLLU.encode())
    change = Change(1, "PART", "ADV")
    options = {"labels": "upos", "name": "data.conllu.gz"}
    found = corrected(tmp_path, packed, "{type: conllu}", (3, change), **options)
    assert gzip.decompress(found).decode() == CONLLU.replace("PART", "ADV")
    assert found[4:8] == bytes(4)  # no time: equal corrections give equal files


# ---- tables


@quick
@given(st.data())
def test_tables(tmp_path: Path, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["csv", "tsv"]))
    end = data.draw(ENDS)
    names = st.text('AB ,"ß\n', min_size=1, max_size=4).filter(lambda own: own == own.strip())
    names = names if kind == "csv" else NAMES
    rows = data.draw(st.lists(st.tuples(WORDS, names, names), min_size=1, max_size=5))
    target = data.draw(st.integers(0, len(rows) - 1))
    spaces = data.draw(st.sampled_from(["", " "])) if kind == "tsv" else ""

    def text(new: bool) -> str:
        out = io.StringIO()
        quoting: Any = csv.QUOTE_MINIMAL if kind == "csv" else csv.QUOTE_NONE
        options: Any = {"quoting": quoting, "lineterminator": end}
        if kind == "tsv":
            options |= {"quotechar": None}
        writer = csv.writer(out, delimiter="," if kind == "csv" else "\t", **options)
        writer.writerow(["id", "label", "text"])
        for place, (word, old, other) in enumerate(rows):
            label = other if new and place == target else old
            writer.writerow([place, spaces + label + spaces, word])
        return out.getvalue()

    before = text(False)
    lines = 2 + sum(1 + (own[1].count("\n") if kind == "csv" else 0) for own in rows[:target])
    _, old, other = rows[target]
    found = corrected(
        tmp_path, before, f"{{type: {kind}}}", (lines, Change(None, old, other)), head="pool"
    )
    quoted = any(own in old for own in ',"\n')
    plain = any(own in other for own in ',"\n')
    if kind == "csv" and quoted and not plain:
        # A cell that was quoted stays quoted.
        assert [*csv.reader(io.StringIO(found.decode(), newline=""))] == [
            *csv.reader(io.StringIO(text(True), newline=""))
        ]
    else:
        assert found.decode() == text(True)


def test_a_pattern_reads_the_value_of_a_key_alone(tmp_path: Path) -> None:
    line = "1\tAnn\t_\t_\t_\t_\t_\t_\t_\tGloss=ABC|Entity={}-1\n\n"
    labels = '{misc: Entity, pattern: "^([A-Z]+)"}'
    change = (1, Change(0, "PER", "LOC"))
    copy = corrected(tmp_path, line.format("PER"), "conllu", change, labels=labels)
    assert copy.decode() == line.format("LOC")


def test_a_label_of_a_pattern_leaves_the_rest_of_the_cell(tmp_path: Path) -> None:
    found = corrected(
        tmp_path,
        "HUM:ind Who is it ?\nLOC:city Where is it ?\n",
        "{type: lines}",
        *[(2, Change(None, "LOC", "NUM"))],
        labels='{column: label, pattern: "^([A-Z]+):"}',
        head="pool",
    )
    assert found == b"HUM:ind Who is it ?\nNUM:city Where is it ?\n"


def test_sets_keep_the_order_of_the_other_labels(tmp_path: Path) -> None:
    found = corrected(
        tmp_path,
        "text,label\nA text,c; a; b\n",
        "{type: csv}",
        (2, Change(None, ["a", "b", "c"], ["b", "c", "d"])),
        labels="{column: label, form: set, separator: ';'}",
        head="pool",
        metric="set_f1",
    )
    assert found == b"text,label\nA text,c; b; d\n"


# ---- JSON lines

VALUES = st.one_of(st.text(max_size=4), st.integers(), st.booleans(), st.none(), st.just([1, "]"]))


@quick
@given(st.data())
def test_json_lines(tmp_path: Path, data: st.DataObject) -> None:
    names = data.draw(st.lists(NAMES, min_size=1, max_size=4))
    place = data.draw(st.integers(0, len(names) - 1))
    others = data.draw(st.dictionaries(NAMES, VALUES, max_size=3))
    indent = data.draw(st.sampled_from([(", ", ": "), (",", ":"), (" ,  ", " : ")]))
    ascii_only = data.draw(st.booleans())
    new_name = data.draw(NAMES)
    # The style of a file is visible only in lines that have other characters than ASCII.
    ascii_only |= not any("ß" in own for own in [*others, *names])

    def text(new: bool) -> str:
        labels = [new_name if new and i == place else own for i, own in enumerate(names)]
        row = {**others, "tokens": ["w}"] * len(names), "label": labels, "last": '"label": ["A"]'}
        line = json.dumps(row, ensure_ascii=ascii_only, separators=indent)
        return f'{{"tokens": ["a"], "label": ["A"]}}\n\n  {line}\r\n'

    change = Change(place, names[place], new_name)
    found = corrected(tmp_path, text(False), "{type: jsonl}", (3, change))
    assert found.decode() == text(True)


@pytest.mark.parametrize(
    ("old", "change", "new"),
    [
        ("3", Change(None, "3", "4"), "4"),
        ("3", Change(None, "3", "many"), '"many"'),
        ("true", Change(None, "true", "false"), "false"),
        ('" A "', Change(None, "A", "B"), '" B "'),
        ('"A", "label": "B"', Change(None, "B", "C"), '"A", "label": "C"'),
    ],
)
def test_values_of_json_keep_their_type(tmp_path: Path, old: str, change: Change, new: str) -> None:
    line = '{{"text": "a b", "label": {}}}\n'
    found = corrected(tmp_path, line.format(old), "{type: jsonl}", (1, change), head="pool")
    assert found.decode() == line.format(new)


# ---- errors


def refused(folder: Path, *arguments: Any, **options: str) -> str:
    with pytest.raises(MtlError) as caught:
        corrected(folder, *arguments, **options)
    assert not (folder / "copies").exists()
    return str(caught.value)


COLUMNS = "{type: conll, columns: [tokens, label]}"


def test_a_label_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    found = refused(tmp_path, "a X\nb Y\n", COLUMNS, (1, Change(1, "X", "Z")))
    assert found.endswith("data.txt:1: task 'own': expected 'X', found 'Y'")
    found = refused(tmp_path, "a X\nb Y\n", COLUMNS, (1, Change(7, "X", "Z")))
    assert found.endswith("data.txt:1: task 'own': the file has no line 8")


def test_a_label_that_the_format_cannot_contain_is_an_error(tmp_path: Path) -> None:
    found = refused(tmp_path, "a X\nb Y\n", COLUMNS, (1, Change(1, "Y", "Z Z")))
    assert found.endswith("the format cannot contain the label 'Z Z'")
    found = refused(tmp_path, "a X\nb Y\n", COLUMNS, (1, Change(1, "Y", " ")))
    assert found.endswith("the new label is empty")


@pytest.mark.parametrize(
    ("text", "reader", "line", "new", "told"),
    [
        ("a Y\n", COLUMNS, 1, "_", "'_' would be read as no label; choose another label"),
        ("label,text\nY,a\n", "{type: csv}", 2, " Z ", "' Z ' would be read as 'Z'"),
        ("Y a\n", "{type: lines}", 1, "a\tb", "a new label makes the file unreadable: the label"),
        ("Y\ta\n", '{type: lines, separator: "\\t"}', 1, "\rZ", "unreadable: a carriage return"),
    ],
)
def test_a_label_with_a_meaning_in_the_format_is_an_error(
    tmp_path: Path, text: str, reader: str, line: int, new: str, told: str
) -> None:
    token, head = (0, "softmax") if reader is COLUMNS else (None, "pool")
    found = refused(tmp_path, text, reader, (line, Change(token, "Y", new)), head=head)
    assert f"data.txt:{line}: " in found
    assert told in found


def test_a_place_outside_of_its_sentence_is_an_error(tmp_path: Path) -> None:
    text = "a X\nb Y\n\nc X\n"
    found = refused(tmp_path, text, COLUMNS, (1, Change(3, "X", "Z")))
    assert found.endswith("data.txt:1: task 'own': the sentence has no word 4")
    found = refused(tmp_path, text, COLUMNS, (2, Change(0, "Y", "Z")))
    assert found.endswith("data.txt:2: no sentence starts here; copy the line of audit.jsonl again")


@pytest.mark.parametrize(
    ("name", "content"), [("a.txt", b"a X\n\xff Y\n"), ("a.txt.gz", b"a X\nb Y\n")]
)
def test_a_file_that_is_not_text_is_an_error(tmp_path: Path, name: str, content: bytes) -> None:
    found = refused(tmp_path, content, COLUMNS, (1, Change(0, "X", "Z")), name=name)
    assert f"{name}: cannot be read as text: " in found


def test_two_different_corrections_of_a_label_are_an_error(tmp_path: Path) -> None:
    changes = [(1, Change(1, "Y", new)) for new in ("Z", "W")]
    found = refused(tmp_path, "a X\nb Y\n", COLUMNS, *changes)
    assert found.endswith("task 'own': two corrections change the same label")


def test_a_file_that_has_changed_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "data.txt"
    file.write_text("a X\nb Y\n")
    own = issue(file, 1, Change(1, "Y", "Z"))
    file.write_text("a X\nb Y\n\n")
    with pytest.raises(MtlError, match="the file has changed since the audit; run mtl audit again"):
        apply(tmp_path, file, COLUMNS, [own])
    assert not (tmp_path / "copies").exists()


def test_corrections_of_two_states_of_a_file_are_an_error(tmp_path: Path) -> None:
    file = tmp_path / "data.txt"
    file.write_text("a X\nb Y\n")
    new = issue(file, 1, Change(1, "Y", "Z"))
    old = replace(new, checksum="0" * CHECKSUM, changes=(Change(0, "X", "Z"),))
    with pytest.raises(MtlError, match="the file has changed since the audit"):
        apply(tmp_path, file, COLUMNS, [new, old])


def test_two_files_of_one_name_are_an_error(tmp_path: Path) -> None:
    files = [tmp_path / name / "data.txt" for name in (".", "other")]
    for file in files:
        file.parent.mkdir(exist_ok=True)
        file.write_text("a X\n")
    issues = [issue(file, 1, Change(0, "X", "Z")) for file in files]
    with pytest.raises(MtlError, match=r"another corrected file is called data\.txt too"):
        apply(tmp_path, files[0], COLUMNS, issues)


def test_spans_by_offsets_are_not_corrected(tmp_path: Path) -> None:
    line = '{"text": "Ann left", "label": [[0, 3, "PER"]]}\n'
    found = refused(tmp_path, line, "{type: jsonl}", (1, Change(0, "B-PER", "O")))
    assert "spans by character offsets cannot be corrected here" in found


def test_broken_lines_of_corrections_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "issues.jsonl"
    for text in ("{}", "[1]", "nonsense", '{"changes": [{"token": 1}]}'):
        path.write_text("\n" + text + "\n")
        with pytest.raises(MtlError, match=r"issues.jsonl:2: expected a line of audit.jsonl"):
            read_issues(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"line": "3"}, "line: "),
        ({"line": 0}, "line: expected a number from 1"),
        ({"sentence": -1}, "from 0 for the sentence"),
        ({"task": ["own"]}, "task: "),
        ({"file": 3}, "file: "),
        ({"score": float("nan")}, "score: "),
        ({"tokens": "w"}, "tokens: "),
        ({"tokenz": ["w"]}, "tokenz: "),
        ({"changes": []}, "changes: expected at least one"),
        ({"changes": [{"token": -1, "old": "a", "new": "b"}]}, "the index of a token, from 0"),
        ({"changes": [{"token": 1.0, "old": "a", "new": "b"}]}, "changes.0.token: "),
        ({"changes": [{"token": 1, "old": "a", "new": "\ud800"}]}, "hex escape"),
        ({"changes": [{"token": 1, "old": "a"}]}, "changes.0.new: "),
    ],
)
def test_each_field_of_a_correction_is_checked(
    tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    (tmp_path / "a").write_text("x")
    fields = issue(tmp_path / "a", 3, Change(0, "a", "b")).to_dict()
    path = tmp_path / "issues.jsonl"
    path.write_text(json.dumps(fields | changes) + "\n")
    with pytest.raises(MtlError, match=r"issues.jsonl:1: expected a line of audit.jsonl") as caught:
        read_issues(path)
    assert told in str(caught.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"changes": ' + "9" * 5000 + "}"])
def test_extreme_lines_of_corrections_are_errors(tmp_path: Path, text: str) -> None:
    path = tmp_path / "issues.jsonl"
    path.write_text(text)
    with pytest.raises(MtlError, match=r"issues.jsonl:1: expected a line of audit.jsonl"):
        read_issues(path)


def test_a_file_name_that_cannot_be_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "data.txt").write_text("a X\n")
    own = replace(issue(tmp_path / "data.txt", 1, Change(0, "X", "b")), file="a\0b")
    with pytest.raises(MtlError, match="no file has this name"):
        apply(tmp_path, tmp_path / "data.txt", COLUMNS, [own])


def test_issues_are_read_as_they_were_written(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_text("x")
    issues = [issue(file, 3, Change(None, ["a"], [])), issue(file, 4, Change(2, "a", "ß"))]
    write_issues(issues, tmp_path / "issues.jsonl")
    assert read_issues(tmp_path / "issues.jsonl") == issues
