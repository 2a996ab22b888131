"""Documents that would need much time or memory, or that name no file."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from mtl.config import document
from mtl.config.document import MAX_BYTES, MAX_DEPTH, MAX_VALUES, parse
from mtl.errors import ConfigError

Load = Callable[..., Any]
Write = Callable[[str, str], Path]
LAUGHS = "a: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"b{n}: &a{n + 1} [{','.join([f'*a{n}'] * 10)}]\n" for n in range(9)
)


def refused(text: str) -> str:
    start = time.process_time()
    with pytest.raises(ConfigError) as error:
        parse(text, "x.yaml")
    assert time.process_time() - start < 5
    return str(error.value)


def test_aliases_of_aliases_count_as_often_as_they_are_used() -> None:
    start = time.process_time()
    with pytest.raises(ConfigError, match=r"x\.yaml:6:\d+: too long; at most 200,000 values"):
        parse(LAUGHS, "x.yaml")
    assert time.process_time() - start < 0.5


@pytest.mark.slow
def test_as_many_values_as_allowed_are_read() -> None:
    text = f"[{'x,' * (MAX_VALUES - 1)}]"
    assert len(parse(text, "x.yaml").plain()) == MAX_VALUES - 1
    assert "too long" in refused(f"[{'x,' * MAX_VALUES}]")


def test_aliases_are_expanded() -> None:
    text = "a: &a {b: [1, &c 2]}\nd: [*a, *c]"
    assert parse(text, "x.yaml").plain() == {"a": {"b": [1, 2]}, "d": [{"b": [1, 2]}, 2]}


@pytest.mark.parametrize(("start", "end"), [("[", "]"), ("{a: ", "}"), ("- ", "")])
def test_depth_is_bounded(start: str, end: str) -> None:
    inner = "1"
    assert parse(start * MAX_DEPTH + inner + end * MAX_DEPTH, "x.yaml")
    depth = MAX_DEPTH + 1
    assert refused(start * depth + inner + end * depth) == "x.yaml: nested too deeply"
    assert "nest" in refused(start * 100_000 + inner + end * 100_000)


@pytest.mark.parametrize("text", ["&a [*a]", "&a {b: [1, *a]}", "[&a {b: *a}]"])
def test_a_value_that_contains_itself(text: str) -> None:
    assert "a value that contains itself" in refused(text)


@pytest.mark.parametrize("text", ["!!python/tuple [1]", "a: !x {b: 1}", "!!binary aGk="])
def test_tags_of_every_kind_of_value(text: str) -> None:
    assert "are not supported; write a plain value" in refused(text)


def test_a_file_that_is_too_large(load: Load, write: Write) -> None:
    write("run.yaml", "# " + "x" * MAX_BYTES)
    with pytest.raises(ConfigError, match=r"run\.yaml: too large; at most 10 MB are read"):
        load()


@pytest.mark.parametrize("path", ["/dev/zero", "x" * 5000, "a\0b", "run\0.yaml"])
def test_a_run_file_that_is_none(load: Load, path: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(path=path)
    assert "\n" not in str(error.value)


NAMES = ["a\\0b", "x" * 5000, "/dev/zero", "/", ".", "", "~\\0", "x/" * 3000]


@pytest.mark.parametrize("name", NAMES)
def test_a_file_to_extend_that_is_none(load: Load, write: Write, name: str) -> None:
    write("run.yaml", f'extends: "{name}"\nseed: 1')
    with pytest.raises(ConfigError, match="no such file: ") as error:
        load()
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("name", NAMES)
def test_a_corpus_that_is_none(load: Load, write: Write, name: str) -> None:
    write("run.yaml", f'extends: base.yaml\ntasks: {{x: {{use: "{name}/ner"}}}}')
    with pytest.raises(ConfigError):
        load()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ("/", ".")])
def test_a_data_file_that_is_none(load: Load, write: Write, name: str) -> None:
    text = Path("run.yaml").read_text(encoding="utf-8")
    write("run.yaml", f'{text}\ncorpora: {{news: {{files: {{train: "{name}"}}}}}}')
    with pytest.raises(ConfigError, match=r"files\.train: "):
        load()


@pytest.mark.slow
def test_a_hundred_errors_are_enough(load: Load, write: Write) -> None:
    write("run.yaml", "".join(f"key{n}: 1\n" for n in range(100_000)))
    start = time.process_time()
    with pytest.raises(ConfigError) as error:
        load()
    assert time.process_time() - start < 10
    lines = str(error.value).splitlines()
    assert len(lines) == 100
    assert lines[-1].endswith("; there may be more errors: correct these first")


@pytest.mark.parametrize("loader", ["_Loader", "_FastLoader"])
@pytest.mark.parametrize("path", sorted(Path("configs").rglob("*.yaml")), ids=str)
def test_both_parsers_read_files_as_pyyaml_does(
    path: Path, loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = path.read_text(encoding="utf-8")
    used = getattr(document, loader)
    for name in ("_Loader", "_FastLoader"):
        monkeypatch.setattr(document, name, used)
    # `repr` tells 1 from 1.0 and from true.
    assert repr(parse(text, "x.yaml").plain()) == repr(yaml.safe_load(text))


@pytest.mark.parametrize("loader", ["_Loader", "_FastLoader"])
def test_both_parsers_differ_from_pyyaml_as_documented(
    loader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    used = getattr(document, loader)
    for name in ("_Loader", "_FastLoader"):
        monkeypatch.setattr(document, name, used)
    values = parse("[1e-3, no, yes, on, off, 2020-01-01, 1:30, True, ~, '1']", "x.yaml").plain()
    expected = [0.001, "no", "yes", "on", "off", "2020-01-01", "1:30", True, None, "1"]
    assert values == expected
    assert list(map(type, values)) == list(map(type, expected))
