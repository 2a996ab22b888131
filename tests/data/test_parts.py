"""Large files are read part by part, and by several processes: the result is always the same."""

from __future__ import annotations

import io
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, Self

import pytest

from mtl.data import writer
from mtl.data.readers import Conll, Conllu, Csv, Jsonl, Lines, Reader, Text, Tsv, parts
from mtl.data.sources import Source
from mtl.data.writer import Writer, reading_processes
from mtl.errors import DataError, MtlError


def words(rng: random.Random) -> list[str]:
    return [f"w{rng.randrange(50)}é" for _ in range(rng.randrange(1, 6))]


def conll(rng: random.Random) -> str:
    comment = "# id = 7\n" * (rng.random() < 0.2)
    end = rng.choice(["\n", " \n", "\r\n", "\n\n", "-DOCSTART- X\n\n"])
    return comment + "".join(f"{word}\tT{len(word)}\n" for word in words(rng)) + end


def conllu(rng: random.Random) -> str:
    rows = enumerate(words(rng), 1)
    return "".join(f"{n}\t{w}\t_\tX\tY\t_\t0\troot\t_\t_\n" for n, w in rows) + "\n"


def jsonl(rng: random.Random) -> str:
    text = " ".join(words(rng))
    return f'{{"text": "{text}", "label": "{len(text) % 2}"}}\n' + "\n" * (rng.random() < 0.1)


CASES: list[tuple[Reader, Callable[[random.Random], str], str]] = [
    (Conll(), conll, ""),
    (Conllu(), conllu, ""),
    (Jsonl(), jsonl, ""),
    (Lines(), lambda rng: f"{rng.randrange(2)} {' '.join(words(rng))}\n", ""),
    (Text(), lambda rng: f"{' '.join(words(rng))}\n", ""),
    (Text(by="paragraph"), lambda rng: "a b\n" * rng.randrange(1, 4) + " \n", ""),
    (Tsv(), lambda rng: f"{' '.join(words(rng))}\t{rng.randrange(2)}\n", "text\tlabel\n"),
    (Tsv(columns=["text", "label"]), lambda rng: f"{' '.join(words(rng))}\tA\n", ""),
    (Csv(quotes=False), lambda rng: f"{' '.join(words(rng))},A\n", "text,label\n"),
]
SOURCES: dict[type[Reader], Source] = {
    Conll: Source("column", "labels"),
    Conllu: Source("column", "upos"),
    Text: Source("text", "next"),
}
cases = pytest.mark.parametrize("case", CASES, ids=lambda case: type(case[0]).__name__)


class Here:
    """Takes the place of the worker processes, but sends everything through a pickle."""

    def __init__(self, work: Any, count: int, advice: str) -> None:
        self.work = pickle.loads(pickle.dumps(work))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def map(self, items: Iterable[Any]) -> Iterator[Any]:
        # A few pieces are read ahead, as by the processes.
        ahead: list[Any] = []
        for item in items:
            ahead.append(pickle.loads(pickle.dumps(self.work(pickle.loads(pickle.dumps(item))))))
            if len(ahead) > 3:
                yield ahead.pop(0)
        yield from ahead


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PART", 300)
    monkeypatch.setattr(parts, "_TAIL", 40)
    monkeypatch.setattr(writer, "_LARGE", 100)


def corpus(case: tuple[Reader, Callable[[random.Random], str], str], path: Path) -> Path:
    rng = random.Random(4)
    text = "".join(case[1](rng) for _ in range(200))
    path.write_text(f"\ufeff{case[2]}{text}", encoding="utf-8", newline="")
    return path


def written(reader: Reader, paths: list[Path]) -> tuple[bytes, Any]:
    """The bytes of the cache and its counts, or the error."""
    source = SOURCES.get(type(reader), Source("column", "label"))
    made, target = Writer(reader, {"task": source}), io.BytesIO()
    try:
        made.write(paths, target)
    except DataError as error:
        return b"", str(error)
    return target.getvalue(), made.summary()


def both(reader: Reader, paths: list[Path], monkeypatch: pytest.MonkeyPatch) -> tuple[bytes, Any]:
    """The same, by one process and by several."""
    monkeypatch.setenv("MTL_READERS", "1")
    alone = written(reader, paths)
    monkeypatch.setenv("MTL_READERS", "2")
    monkeypatch.setattr(writer, "Workers", Here)
    together = written(reader, paths)
    assert together == alone
    return alone


@cases
def test_parts_have_the_sentences_of_the_file(case: Any, tmp_path: Path) -> None:
    reader, path = case[0], corpus(case, tmp_path / "file")
    pieces = list(parts.divided(path, reader.ends()))
    assert len(pieces) > 5
    found = [record for part in pieces for record in reader.read_part(path, part)]
    assert found == list(reader.read(path))


@cases
def test_several_processes_write_the_same_bytes(
    case: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [corpus(case, tmp_path / name) for name in "ab"]
    content, summary = both(case[0], paths, monkeypatch)
    assert content
    assert summary.sentences == 2 * sum(1 for _ in case[0].read(paths[0]))


@pytest.mark.parametrize("place", [3, 150])
@cases
def test_errors_are_the_same(
    case: Any, place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = corpus(case, tmp_path / "file")
    lines = path.read_bytes().splitlines(keepends=True)
    for bad in (b"\xff broken\n", b"x\0y\n", b"one cell\n", b"a\rb\n"):
        path.write_bytes(b"".join([*lines[:place], bad, *lines[place:]]))
        both(case[0], [path], monkeypatch)


def test_labels_of_two_forms_in_two_parts_are_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    rows = ['{"tokens": ["a"], "label": "x"}'] * 40 + ['{"tokens": ["a"], "label": ["x"]}'] * 40
    path.write_text("\n".join(rows))
    _, error = both(Jsonl(), [path], monkeypatch)
    assert "file:41: task 'task': one value per token here, one per sentence before" in error


def test_a_missing_file_is_the_usual_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = corpus(CASES[2], tmp_path / "file")
    for other in (tmp_path / "none", tmp_path):
        _, error = both(Jsonl(), [path, other], monkeypatch)
        assert "there is no such file" in error or "this is a folder" in error


def test_a_subclass_with_another_read_is_read_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class First(Lines):
        def read(self, path: Path) -> Iterator[Any]:
            yield next(super().read(path))

    _, summary = both(First(), [corpus(CASES[3], tmp_path / "file")], monkeypatch)
    assert summary.sentences == 1


def test_the_number_of_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MTL_READERS", "3")
    assert reading_processes() == 3
    monkeypatch.setenv("LOCAL_RANK", "1")
    assert reading_processes() == 1
    for wrong in ("0", "two", "-1"):
        monkeypatch.setenv("MTL_READERS", wrong)
        with pytest.raises(MtlError, match="MTL_READERS is"):
            reading_processes()


SCRIPT = """
import sys
from pathlib import Path
from mtl.data import writer
from mtl.data.readers import Jsonl
from mtl.data.sources import Source
from mtl.data.store import stored
writer._LARGE = 0
path, cache = map(Path, sys.argv[1:])
table, summary = stored(Jsonl(), [path], {"task": Source("column", "label")}, cache)
print(len(table), summary.sentences)
"""
"""It has no `if __name__ == "__main__":`, so processes that import it would run it again."""


def run(path: Path, cache: Path, number: int) -> subprocess.Popen[str]:
    script = path.parent / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(path), str(cache)]
    environment = {**os.environ, "MTL_READERS": str(number)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)


@pytest.mark.slow
def test_processes_build_a_cache_and_leave_no_half_of_one(tmp_path: Path) -> None:
    path = tmp_path / "file.jsonl"
    path.write_text('{"text": "Ann left Rome .", "label": "a"}\n' * 300_000)
    cut = run(path, tmp_path / "killed", 2)
    folder = tmp_path / "killed" / "corpora"
    while not list(folder.glob(".*.tmp")) and cut.poll() is None:
        time.sleep(0.1)
    cut.send_signal(signal.SIGKILL)
    cut.communicate()
    assert not list(folder.glob("*.arrow"))
    # Two at once, over the rest of the killed one, and one alone.
    several = [run(path, tmp_path / "killed", 2) for _ in range(2)]
    assert [process.communicate()[0] for process in several] == ["300000 300000\n"] * 2
    assert run(path, tmp_path / "alone", 1).communicate()[0] == "300000 300000\n"
    (one,), (other,) = (
        list((tmp_path / name / "corpora").glob("*.arrow")) for name in ("killed", "alone")
    )
    assert one.name == other.name
    assert one.read_bytes() == other.read_bytes()
