"""Atomic writing, and reading of text files."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys

import pytest

from mtl.errors import DataError, MtlError
from mtl.files import atomic_write, is_temporary, open_text, remove_stale, text_lines


def read(path):
    with open_text(path) as file:
        return "".join(file)


def test_a_written_file_holds_the_text(tmp_path):
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("é\n")
    assert (tmp_path / "a.txt").read_bytes() == b"\xc3\xa9\n"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_after_an_error_the_old_file_stays_and_nothing_else(tmp_path):
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), atomic_write(path, "wb") as file:
        file.write("text where bytes belong")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.bin"]


def test_the_old_file_is_seen_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_write(path) as file:
        file.write("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_unfinished_files_are_known_by_their_name(tmp_path):
    with atomic_write(tmp_path / "a.txt"):
        (name,) = os.listdir(tmp_path)
        assert is_temporary(name)
    for name in ("a.txt", ".a.txt", "a.tmp", ".a.tmp", "a.txt.01234567.tmp", ".lock"):
        assert not is_temporary(name)


def test_only_files_of_writes_that_were_killed_are_stale(tmp_path):
    code = """
import os, sys, time
from mtl.files import atomic_write
with atomic_write(sys.argv[1]) as file:
    print(flush=True)
    time.sleep(60)
"""
    names = set()
    for end in ("alive", "killed"):
        path = tmp_path / end
        writer = subprocess.Popen([sys.executable, "-c", code, path], stdout=subprocess.PIPE)
        with writer.stdout as output:
            output.readline()
        (name,) = {*os.listdir(tmp_path)} - names
        names.add(name)
        os.utime(tmp_path / name, (0, 0))
        if end == "killed":
            writer.kill()
            writer.wait()
        else:
            alive = writer
    for name in ("own.txt", ".young.txt.01234567.tmp"):
        (tmp_path / name).touch()
    try:
        remove_stale(tmp_path)
        left = {name.split(".")[1] for name in os.listdir(tmp_path)}
    finally:
        alive.kill()
        alive.wait()
    assert left == {"alive", "txt", "young"}


def test_a_missing_folder_is_named(tmp_path):
    with (
        pytest.raises(MtlError, match=r"cannot write .*b\.txt: the folder .*/no does not exist"),
        atomic_write(tmp_path / "no" / "b.txt"),
    ):
        pass


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, as Linux has it")
def test_a_full_disk_is_a_clear_line(tmp_path):
    with (
        pytest.raises(MtlError, match="No space left on device"),
        atomic_write(tmp_path / "a.txt"),
        open("/dev/full", "w") as full,
    ):
        full.write("x" * 100_000)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_device_or_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for name in ("pipe", "link"):
        with (
            pytest.raises(MtlError, match="a folder, a pipe or a device; expected a file"),
            atomic_write(tmp_path / name) as file,
        ):
            file.write("x")
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


def test_text_loses_bom_and_carriage_returns(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfa\r\nb\n")
    assert read(tmp_path / "a.txt") == "a\nb\n"


def test_gzip_reads_as_its_content(tmp_path):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"\xef\xbb\xbfa\r\n", mtime=0))
    assert read(tmp_path / "a.txt.gz") == "a\n"


def test_an_empty_file_is_empty_text(tmp_path):
    (tmp_path / "a.txt").touch()
    assert read(tmp_path / "a.txt") == ""


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a", b"ok\nbin\0ary", ":2: binary content"),
        ("a", "x\n".encode("utf-16"), r":1: binary content \(or UTF-16\)"),
        ("a", b"ok\n\ncaf\xe9\n", ":3: byte 0xe9 at position 3 of the line is not UTF-8"),
        ("a", b"x\n" * 40_000 + b"a\0", ":40001: binary content"),
        ("a.gz", gzip.compress(b"x\na\0", mtime=0), ":2: binary content"),
        ("a", b"ok\none\rtwo\n", r":2: a carriage return \(\\r\) inside the line"),
        ("a", b"ok\r\nend\r\r\n", r":2: the line ends in \\r\\r\\n"),
        ("a", b"x\r\n" * 40_000 + b"a\rb\r\n", ":40001: a carriage return"),
        ("a", b"one\rtwo\rthree\r", ":1: a carriage return"),
        ("a", b"x\n" * 40_000 + b"\xff\n", ":40001: byte 0xff at position 0"),
        ("a.gz", b"plain text", "not a gzip file"),
        (
            "a.gz",
            gzip.compress(os.urandom(9000).hex().encode())[:-20],
            ":1: the gzip data is truncated",
        ),
        ("a.gz", gzip.compress(b"x\n" * 99, mtime=0)[:12] + b"\xff" * 30, "truncated or damaged"),
    ],
)
def test_unreadable_text_is_reported_with_its_place(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}.*{message}"):
        read(tmp_path / name)


def test_missing_files_and_folders_are_data_errors(tmp_path):
    with pytest.raises(DataError, match=r"none\.txt: there is no such file"):
        read(tmp_path / "none.txt")
    with pytest.raises(DataError, match="this is a folder; expected a file"):
        read(tmp_path)


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lines_of_any_length_are_whole(tmp_path, size, end):
    lines = ["a" * size, "", "é" * size, "\x85\u2028\x0b"]
    (tmp_path / "a.txt").write_bytes(end.join(lines).encode())
    with open_text(tmp_path / "a.txt") as file:
        assert [line.removesuffix("\n") for line in file] == lines


def test_carriage_returns_may_be_allowed(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbfone\rtwo\r\nthree\r\n")
    with open_text(tmp_path / "a.csv", lone_returns=True) as file:
        assert list(file) == ["one\rtwo\n", "three\n"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_read_as_streams_only(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, "/dev/zero"):
        with pytest.raises(DataError, match="a pipe or a device; expected an ordinary file"):
            read(path)
    with pytest.raises(DataError, match="binary content"), open_text("/dev/zero", stream=True):
        pass


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_the_lines_of_a_stream_arrive_before_its_end():
    receiving, sending = os.pipe()
    with open(receiving, "rb") as stream, open(sending, "wb", buffering=0) as sender:
        lines = text_lines(stream, "pipe")
        for word in ("one\n", "two\n"):
            sender.write(word.encode())
            assert next(lines) == word
