"""YAML documents with places: types, duplicate keys, merging and `extends`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.config.document import Node, load, merge, parse, read
from mtl.errors import ConfigError, Place


def tree(text: str) -> Node:
    node = parse(text, "x.yaml")
    assert node
    return node


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1E5", 100000.0),
        (".5", 0.5),
        ("-2.", -2.0),
        ("-.inf", float("-inf")),
        ("+12", 12),
        ("010", 10),
        ("10_000", 10000),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("null", None),
        ("no", "no"),
        ("on", "on"),
        ("Yes", "Yes"),
        ("1:30", "1:30"),
        ("2026-01-01", "2026-01-01"),
        ("1e", "1e"),
        ("0x1f", "0x1f"),
        (".nan", ".nan"),
        ("'1'", "1"),
        ("!!str 1", "1"),
    ],
)
def test_scalars_are_what_they_look_like(text: str, value: Any) -> None:
    read_value = tree(f"k: {text}").value["k"].value
    assert (type(read_value), read_value) == (type(value), value)


def test_every_key_and_value_knows_its_place() -> None:
    node = tree("a: 1\nb:\n  c: [x, y]\n")
    c = node.value["b"].value["c"]
    assert c.key == Place("x.yaml", 3, 3)
    assert c.place == Place("x.yaml", 3, 6)
    assert c.value[1].place == Place("x.yaml", 3, 10)


def test_aliases_are_read() -> None:
    assert tree("a: &x {b: 1}\nc: *x").plain() == {"a": {"b": 1}, "c": {"b": 1}}


MISTAKES = {
    b"a: 1\nb: 2\na: 3": "x.yaml:3:1: duplicate key 'a', first at x.yaml:1:1; remove one of them",
    b"a: [1, 2\nb: 3": "x.yaml:2:2: not valid YAML: while parsing a flow sequence, "
    "expected ',' or ']', but got ':'",
    b"a:\n\tb: 1": "x.yaml:2:1: not valid YAML: while scanning for the next token, "
    "found character '\\t' that cannot start any token",
    b"a: *b": "x.yaml:1:4: not valid YAML: found undefined alias 'b'",
    b"a: &a [*a]": "x.yaml:1:4: a value that contains itself",
    b"a: !x b": "x.yaml:1:4: tags such as '!x' are not supported; write a plain value",
    b"? [a]\n: 1": "x.yaml:1:3: expected a plain word as key",
    b"a: " + b"9" * 5000: "x.yaml:1:4: cannot be read as int: '99999999999999999999'",
    b"a: !!float x": "x.yaml:1:4: cannot be read as float: 'x'",
    b'a: "\\ud800"': "x.yaml:1:4: cannot be read as str: '\\ud800'",
    b"a: 1\nb: \x01": "x.yaml:2: character '\\x01' is not allowed in YAML",
    b"# nothing\n": "x.yaml: the file is empty; expected keys and values",
    b"- a\n- b": "x.yaml:1:1: expected keys and values (`key: value`)",
    b"a: 1\nb: Z\xfcrich": "x.yaml:2: not UTF-8 text; save the file as UTF-8",
    b"a: 1\0": "x.yaml: a binary file; expected YAML text",
    b"a: " + b"[" * 1000: "x.yaml: nested too deeply",
}


@pytest.mark.parametrize(("data", "message"), MISTAKES.items(), ids=range(len(MISTAKES)))
def test_a_broken_file_is_reported_with_its_place(
    data: bytes, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("x.yaml").write_bytes(data)
    with pytest.raises(ConfigError) as error:
        read(Path("x.yaml"))
    assert str(error.value) == message


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    (tmp_path / "phones.yaml").touch()
    with pytest.raises(ConfigError, match=r"phnes: no such file; did you mean 'phones\.yaml'\?"):
        read(tmp_path / "phnes")
    with pytest.raises(ConfigError, match=r"ewt_poss: no such file; did you mean 'ewt_pos\.yaml'"):
        read(tmp_path / "ewt_poss")
    with pytest.raises(ConfigError, match=r"absent\.yaml: no such file$"):
        read(tmp_path / "absent.yaml")
    with pytest.raises(ConfigError, match=r"cannot be read: Is a directory$"):
        read(tmp_path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1")
    assert read(path).plain() == {"a": 1}


def test_merging_goes_key_by_key_and_keeps_places() -> None:
    merged = merge(tree("a: {b: 1, c: [1, 2]}"), tree("\na: {c: [3], d: 4}"))
    assert merged.plain() == {"a": {"b": 1, "c": [3], "d": 4}}
    a = merged.value["a"].value
    assert [a[key].place.line for key in "bcd"] == [1, 2, 2]


def test_a_mapping_over_a_string_keeps_it_as_type() -> None:
    merged = merge(tree("sharing: hard"), tree("sharing: {dropout: 0.1}"))
    assert merged.plain() == {"sharing": {"type": "hard", "dropout": 0.1}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder with a file that extends two others, which both extend a fourth."""
    monkeypatch.chdir(tmp_path)
    documents = {
        "top": {"extends": ["sub/left.yaml", "right.yaml"], "t": 1},
        "sub/left": {"extends": "../root.yaml", "x": "left", "y": "left"},
        "right": {"extends": "root.yaml", "y": "right"},
        "root": {"x": "root", "y": "root", "z": "root"},
    }
    Path("sub").mkdir()
    for name, document in documents.items():
        Path(f"{name}.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    return tmp_path


def test_later_files_win_and_a_common_base_is_laid_once(folder: Path) -> None:
    assert load(Path("top.yaml")).plain() == {"x": "left", "y": "right", "z": "root", "t": 1}


def test_extended_values_keep_the_file_they_stand_in(folder: Path) -> None:
    node = load(Path("top.yaml"))
    assert node.value["x"].place.path == str(Path("sub/left.yaml"))


def test_a_circle_of_extends_is_told_where_it_closes(folder: Path) -> None:
    Path("root.yaml").write_text("a: 1\nextends: top.yaml", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load(Path("top.yaml"))
    circle = "top.yaml -> sub/left.yaml -> root.yaml -> top.yaml"
    assert str(error.value) == f"root.yaml:2:10: extends: a file extends itself: {circle}"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("none.yaml", "x.yaml:1:10: extends: no such file: none.yaml"),
        ("[3]", "x.yaml:1:11: extends: expected a file or a list of files"),
        ("{a: b}", "x.yaml:1:10: extends: expected a file or a list of files"),
    ],
)
def test_extends_must_name_files(folder: Path, value: str, message: str) -> None:
    Path("x.yaml").write_text(f"extends: {value}", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        load(Path("x.yaml"))
    assert str(error.value) == message
