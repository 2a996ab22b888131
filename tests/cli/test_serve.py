"""`mtl serve` as a process of its own: start, several workers, a clean end, errors."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import mtl as library
from tests.cli.command import assert_told, mtl, start

TEXT = "Ann Smith left New Rome ."


def ask(port: int, fields: Any) -> tuple[int, Any]:
    """Send a request; return the status and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Content-Type": "application/json"}
    connection.request("POST", "/predict", json.dumps(fields), headers)
    found = connection.getresponse()
    answer = found.status, json.loads(found.read())
    connection.close()
    return answer


def see(port: int, path: str) -> str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    found = connection.getresponse().read().decode()
    connection.close()
    return found


@contextmanager
def running(*arguments: str) -> Iterator[tuple[int, subprocess.Popen[str]]]:
    """Start the command; yield its port and process."""
    with start("serve", *arguments, "--port", "0") as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.fullmatch(
                r"serving \S+ at http://127\.0\.0\.1:(\d+); stop with Ctrl-C\n", line
            )
            assert found, line + process.communicate()[1]
            yield int(found[1]), process
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=60)


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_in_mid_flight_loses_no_request(trained: Path, number: int) -> None:
    (expected,) = library.load(trained, device="cpu").annotate([TEXT])
    fields = {"texts": [TEXT] * 300}
    with running(str(trained)) as (port, process), ThreadPoolExecutor(12) as pool:
        assert ask(port, {"text": TEXT}) == (200, {"predictions": [expected.to_dict()]})
        answers = [pool.submit(ask, port, fields) for _ in range(12)]
        while "mtl_open_requests 12" not in see(port, "/metrics"):
            assert not all(answer.done() for answer in answers)
        process.send_signal(number)
        found = [answer.result() for answer in answers]
        out, err = process.communicate(timeout=60)
    assert [(status, len(answer["predictions"])) for status, answer in found] == [(200, 300)] * 12
    assert (process.returncode, out, err) == (0, "", "stopped\n")


@pytest.mark.slow
def test_several_workers(trained: Path) -> None:
    with running(str(trained), "--workers", "2") as (port, process):
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: ask(port, {"text": TEXT}), range(40)))
        assert [status for status, _ in found] == [200] * 40
        assert {json.dumps(answer) for _, answer in found} == {json.dumps(found[0][1])}
        # Any of them reports the sums of all.
        assert 'mtl_requests_total{status="200"} 40' in see(port, "/metrics").splitlines()
        process.terminate()
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "stopped\n")


def children(process: int) -> list[int]:
    """Return the workers of a server."""
    listed = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    commands = {int(child): Path(f"/proc/{child}/cmdline").read_bytes() for child in listed}
    return [child for child, command in commands.items() if b"spawn_main" in command]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")
def test_a_worker_that_dies_is_replaced_and_none_outlives_the_first_process(trained: Path) -> None:
    with running(str(trained), "--workers", "2") as (port, process):
        first, second = children(process.pid)
        os.kill(first, signal.SIGKILL)
        assert process.stderr is not None
        assert process.stderr.readline() == (
            "warning: a process of the server ended with code -9; it is started again\n"
        )
        for _ in range(10):
            assert ask(port, {"text": TEXT})[0] == 200
        process.kill()
        process.wait()
        while Path(f"/proc/{second}/exe").is_symlink():
            time.sleep(0.05)


def test_a_port_in_use(trained: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        found = mtl("serve", str(trained), "--port", str(port))
    text = "Address already in use; choose another --host or --port"
    assert_told(found, f"127.0.0.1:{port}: {text}")


def test_an_unknown_host(trained: Path) -> None:
    found = mtl("serve", str(trained), "--host", "nowhere.invalid")
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith("error: --host nowhere.invalid: ")


@pytest.mark.parametrize("host", ["a" * 64, "a..b", "\u0130." * 40])
def test_a_name_that_no_machine_has(trained: Path, host: str) -> None:
    found = mtl("serve", str(trained), "--host", host)
    assert (found.code, found.out) == (2, "")
    assert found.err.startswith(f"error: --host {host}: ")
    assert found.err.count("\n") == 1


def test_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert mtl("serve", "nothing", "--port", "0") == mtl("predict", "nothing")


@pytest.mark.slow
def test_no_model_for_several_workers() -> None:
    found = mtl("serve", "nothing", "--port", "0", "--workers", "2")
    assert found == mtl("predict", "nothing")


def test_a_damaged_bundle_and_options_of_run_folders(tmp_path: Path) -> None:
    path = tmp_path / "model.mtl"
    path.write_bytes(b"nothing")
    assert mtl("serve", str(path), "--port", "0").err == mtl("predict", str(path)).err
    assert_told(
        mtl("serve", str(path), "--device", "cuda"),
        f"--device needs a run folder, and {path} is a bundle; leave it out",
    )


def test_without_the_extra(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httptools", None)
    assert_told(
        mtl("serve", str(trained)),
        "mtl serve needs httptools, which is not installed; run pip install 'mtl[serve]'",
    )
