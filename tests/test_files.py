"""Atomic writing, and reading of text files."""

from __future__ import annotations

import gzip
import os

import pytest

from mtl.errors import DataError, MtlError
from mtl.files import atomic_write, is_temporary, open_text


def read(path):
    with open_text(path) as file:
        return file.read()


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
