"""`mtl predict` on large input: several processes, compressed files, and progress."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import pickle
import signal
import subprocess
import time
from pathlib import Path

import pytest

import mtl as library
from mtl.inference import base, cutting
from tests.cli.command import mtl, start

SENTENCES = ["Ann Smith left New Rome .", "Eva saw Bob .", "Bob left Oslo in May .", "Ann slept ."]
TEXT = "".join(f"{sentence} {number}\n" for number in range(9) for sentence in SENTENCES)


@pytest.fixture
def _small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (cutting, base):
        monkeypatch.setattr(module, "CHUNK", 5)


def write(folder: Path) -> dict[str, Path]:
    """Write the same sentences in all formats."""
    files = {}
    rows = [line.split() for line in TEXT.splitlines()]
    for name, content in {
        "in.txt": TEXT,
        "in.jsonl": "".join(
            json.dumps({"id": i, "tokens": row}) + "\n" for i, row in enumerate(rows)
        ),
        "in.conll": "".join("\n".join(row) + "\n\n" for row in rows),
        "in.csv": "id,text\n" + "".join(f'{i},"{" ".join(row)}"\n' for i, row in enumerate(rows)),
        "in.tsv": "id\ttext\n" + "".join(f"{i}\t{' '.join(row)}\n" for i, row in enumerate(rows)),
    }.items():
        files[name] = folder / name
        files[name].write_text(content)
        (folder / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
    return files


@pytest.mark.slow
@pytest.mark.usefixtures("_small_chunks")
@pytest.mark.parametrize(
    "name",
    [
        "in.jsonl",
        *(
            pytest.param(f"in.{kind}", marks=pytest.mark.slow)
            for kind in ("txt", "conll", "csv", "tsv")
        ),
    ],
)
def test_workers_write_the_same_bytes_also_compressed(
    trained: Path, tmp_path: Path, name: str
) -> None:
    file = write(tmp_path)[name]
    alone = mtl("predict", str(trained), str(file), "--confidence")
    assert (alone.code, alone.err) == (0, "")
    assert alone.out.count("\n") >= 36
    packed = str(file) + ".gz"
    assert mtl("predict", str(trained), packed, "--confidence", "--workers", "2") == alone
    written = []
    for workers in ("1", "2"):
        out = tmp_path / f"out{workers}.gz"
        options = ("--confidence", "--workers", workers, "--output", str(out))
        assert mtl("predict", str(trained), str(file), *options) == (0, "", "")
        written.append(out.read_bytes())
    assert gzip.decompress(written[0]).decode() == alone.out
    assert written[0] == written[1]


@pytest.mark.slow
@pytest.mark.usefixtures("_small_chunks")
def test_workers_write_what_comes_before_an_error(trained: Path, tmp_path: Path) -> None:
    file = write(tmp_path)["in.jsonl"]
    lines = file.read_text().splitlines(keepends=True)
    for place in (2, 7, 33):
        file.write_text("".join([*lines[:place], "nonsense\n", *lines[place:]]))
        alone = mtl("predict", str(trained), str(file), "--format", "jsonl")
        several = mtl("predict", str(trained), str(file), "--format", "jsonl", "--workers", "2")
        assert alone == several
        assert alone.code == 2
        assert len(alone.out.splitlines()) == place // 5 * 5
        assert f"in.jsonl:{place + 1}: " in alone.err


def test_a_small_input_needs_no_workers(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mtl.data.workers.Workers", None)
    arguments = ("predict", str(trained))
    for text in ("", "Ann left Rome.\n"):
        assert mtl(*arguments, "--workers", "4", stdin=text) == mtl(*arguments, stdin=text)


def long_text(tmp_path: Path) -> str:
    file = tmp_path / "long.txt"
    file.write_text("Ann Smith left New Rome .\n" * 200_000)
    return str(file)


def children(running: subprocess.Popen[str]) -> list[int]:
    """Return the worker processes, after the first output."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            status = (folder / "stat").read_text().rpartition(")")[2].split()
            command = (folder / "cmdline").read_text()
        except OSError:
            continue
        if int(status[1]) == running.pid and "spawn_main" in command and status[0] != "Z":
            found.append(int(folder.name))
    return found


needs_proc = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="there is no /proc")


@needs_proc
@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_signals_end_all_workers(trained: Path, tmp_path: Path, number: int) -> None:
    out = tmp_path / "out.jsonl"
    running = start(
        "predict", str(trained), long_text(tmp_path), "--workers", "2", "--output", str(out)
    )
    found = wait_for_workers(running)
    for worker in found if number == signal.SIGINT else ():
        os.kill(worker, number)  # a terminal sends Ctrl-C to all of them
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    assert (running.returncode, err) == (128 + number, f"stopped by {name}\n")
    assert not [worker for worker in found if alive(worker)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.txt"]


@pytest.mark.slow
@needs_proc
def test_a_worker_that_dies_gives_one_error(trained: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.conll.gz"
    out.write_bytes(b"before")
    running = start(
        "predict", str(trained), long_text(tmp_path), "--workers", "2", "--output", str(out)
    )
    found = wait_for_workers(running)
    os.kill(found[0], signal.SIGKILL)
    _, err = running.communicate(timeout=60)
    message = "a worker process has ended by signal 9; if memory is short, use fewer workers"
    assert (running.returncode, err) == (2, f"error: {message}\n")
    assert not [worker for worker in found if alive(worker)]
    assert out.read_bytes() == b"before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["long.txt", "out.conll.gz"]


@pytest.mark.slow
@needs_proc
def test_workers_end_with_a_parent_that_was_killed(trained: Path, tmp_path: Path) -> None:
    running = start("predict", str(trained), long_text(tmp_path), "--workers", "2")
    found = wait_for_workers(running)
    running.kill()
    running.communicate(timeout=60)
    end = time.monotonic() + 30
    while [worker for worker in found if alive(worker)]:
        assert time.monotonic() < end
        time.sleep(0.05)


def wait_for_workers(running: subprocess.Popen[str]) -> list[int]:
    while len(found := children(running)) < 2:
        assert running.poll() is None
        time.sleep(0.05)
    return found


def alive(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_name_of_the_output_sets_its_format(trained: Path, tmp_path: Path) -> None:
    text = "Ann left Rome.\n"
    for suffix in ("jsonl", "csv", "conll"):
        shown = mtl("predict", str(trained), "--format", suffix, stdin=text).out
        for name in (f"out.{suffix}", f"out.{suffix}.gz"):
            out = tmp_path / name
            result = mtl("predict", str(trained), "--output", str(out), stdin=text)
            assert result == (0, "", "")
            content = out.read_bytes()
            read = gzip.decompress(content) if name.endswith(".gz") else content
            assert read.decode() == shown
            mtl("predict", str(trained), "--output", str(out), stdin=text)
            assert out.read_bytes() == content  # no time inside


def test_outputs_that_cannot_be_written(trained: Path, tmp_path: Path) -> None:
    for path, reason in {
        tmp_path: "a folder, a pipe or a device; expected a file",
        Path(os.devnull): "a folder, a pipe or a device; expected a file",
        tmp_path / "no" / "out": f"the folder {tmp_path}/no does not exist",
    }.items():
        result = mtl("predict", str(trained), "--output", str(path), stdin="Ann left.")
        assert (result.code, result.err) == (2, f"error: cannot write {path}: {reason}\n")
    result = mtl("predict", str(trained), "--explain", "--format", "text", "--workers", "2")
    assert "leave out --workers and --output" in result.err


def test_damaged_compressed_files_are_one_error(trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "in.txt.gz"
    whole = gzip.compress(TEXT.rstrip("\n").encode())
    damaged = {
        whole[:-12]: "the gzip data is truncated or damaged; download the file again",
        whole[:-8] + b"\0" * 8: "the gzip data is truncated or damaged; download the file again",
        TEXT.encode(): "not a gzip file, although its name ends in .gz; rename it",
    }
    for content, message in damaged.items():
        file.write_bytes(content)
        for more in ([], ["--workers", "2"]):
            result = mtl("predict", str(trained), str(file), *more)
            assert (result.code, result.out) == (2, "")
            assert result.err.startswith(f"error: {file}")
            assert result.err.endswith(f"{message}\n")


def test_a_model_is_pickled_as_its_folder(trained: Path) -> None:
    model = library.load(trained, device="cpu")
    content = pickle.dumps(model)
    assert len(content) < 1000
    copy = pickle.loads(content)
    assert copy.predict(SENTENCES) == model.predict(SENTENCES)
    assert copy.experiment.device == model.experiment.device


def test_a_model_is_sent_to_other_processes(trained: Path) -> None:
    model = library.load(trained, device="cpu")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(model.predict, (SENTENCES,)) == model.predict(SENTENCES)
