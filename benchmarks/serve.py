"""Measure `mtl serve` over loopback, beside the same model in this process.

    MTL_DATA=… python benchmarks/serve.py [--rounds N] [--seconds N] [--bundle] [MODEL]

Texts are the test sentences of UD English EWT; all their words were seen in an earlier call. All
contestants make the same records, as JSON; the server has one process, and everything has one
thread per process. They work in turn, and each load ends after some seconds. Clients are a process
of their own, so three threads share the cores: the clients, and in the server the one of HTTP and
the one of the model. `--bundle` needs mtl-runtime: pip install ./runtime

    python benchmarks/serve.py --malformed 10000

sends wrong requests instead, and counts the statuses.

    MTL_DATA=… python benchmarks/serve.py --http

measures HTTP alone: in place of a model, a function returns the same prediction for all texts.
"""

from __future__ import annotations

import mtl  # before torch, as in the command: it sets how threads wait for each other

# isort: split
import argparse
import json
import os
import random
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from side_by_side import EWT_TEST, ROOT, conditions, ewt_test_texts, report, table

PACKAGES = ["mtl", "torch", "uvicorn", "httptools", "uvloop"]
LOAD = Path(__file__).with_name("serve_load.py")
MOST = 100_000
"""The most requests per load."""
BATCH = 64
"""Texts per batch in this process."""
LOADS = {
    "1 client": (1, 1),
    "8 clients": (8, 1),
    "64 clients": (64, 1),
    "8 clients, 8 texts per request": (8, 8),
    "2 clients, 64 texts per request": (2, 64),
}
"""Name of a load to its clients, and the texts per request."""


class Measured(NamedTuple):
    """The speed of a contestant in one round."""

    speed: float
    """Texts per second."""
    processor: float
    """Seconds of processor time per text; for the server, without its clients."""
    times: Sequence[float]
    """Seconds of each request."""


@contextmanager
def server(model: str, *options: str) -> Iterator[tuple[int, int]]:
    """Start the server; yield its port and its process id."""
    command = [sys.executable, "-m", "mtl", "serve", model, "--port", "0", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r":(\d+);", process.stdout.readline())
        assert found is not None, "the server did not start"
        yield int(found[1]), process.pid
    finally:
        process.terminate()
        process.wait(30)


def used(process: int) -> float:
    """Return the seconds of processor time that a process has used."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def load(port: int, process: int, texts: Sequence[str], name: str, seconds: float) -> Measured:
    """Send requests for some seconds."""
    clients, size = LOADS[name]
    starts = range(0, len(texts), size)
    bodies = [json.dumps({"texts": texts[start : start + size]}) for start in starts]
    command = [sys.executable, str(LOAD), str(port), str(clients), str(seconds), str(MOST)]
    before = used(process)
    found = subprocess.run(
        command, input="\n".join(bodies), text=True, stdout=subprocess.PIPE, check=True
    )
    measured = json.loads(found.stdout)
    number = len(measured["times"]) * size
    processor = (used(process) - before) / number
    return Measured(number / measured["seconds"], processor, measured["times"])


def in_process(
    label: Callable[[Sequence[str]], Any], texts: Sequence[str], size: int, seconds: float
) -> Measured:
    """Label batches in this process for some seconds."""
    times, number = [], 0
    processor, begun = time.process_time(), time.perf_counter()
    while time.perf_counter() < begun + seconds:
        start = number % (len(texts) - size)
        before = time.perf_counter()
        label(texts[start : start + size])
        times.append(time.perf_counter() - before)
        number += size
    elapsed = time.perf_counter() - begun
    return Measured(number / elapsed, (time.process_time() - processor) / number, times)


def measure(model: str, texts: Sequence[str], rounds: int, seconds: float) -> list[list[str]]:
    """Return a table of a model."""
    loaded = _load(model)

    def records(own: Sequence[str]) -> str:
        found = [found.to_dict() for found in loaded.annotate(own)]
        return json.dumps({"predictions": found}, ensure_ascii=False)

    contestants: dict[str, Callable[[], Measured]] = {
        "in process, 1 text": lambda: in_process(records, texts, 1, seconds),
        f"in process, {BATCH} texts": lambda: in_process(records, texts, BATCH, seconds),
    }
    found: dict[str, list[Measured]] = {name: [] for name in [*contestants, *LOADS]}
    with server(model) as (port, process):
        for name in LOADS:
            contestants[name] = lambda name=name: load(port, process, texts, name, seconds)  # type: ignore[misc]
        records(texts)
        load(port, process, texts, "2 clients, 64 texts per request", 5 * seconds)
        for _ in range(rounds):
            for name, work in contestants.items():
                found[name].append(work())
    best = found[f"in process, {BATCH} texts"]
    return [[name, *_cells(own, best)] for name, own in found.items()]


def _cells(own: Sequence[Measured], best: Sequence[Measured]) -> list[str]:
    shares = [one.speed / other.speed for one, other in zip(own, best, strict=True)]
    p50, p99 = (median(float(np.percentile(one.times, share)) for one in own) for share in (50, 99))
    return [
        f"{median(one.speed for one in own):,.0f}",
        f"{median(shares):.0%} ({min(shares):.0%}–{max(shares):.0%})",
        f"{1e6 * median(one.processor for one in own):,.0f}",
        f"{1e3 * p50:.2f}",
        f"{1e3 * p99:.2f}",
    ]


def http_alone(texts: Sequence[str], rounds: int, seconds: float) -> list[list[str]]:
    """Return a table of the processor time of the thread of HTTP, without a model."""
    from threading import Event, Thread, get_native_id

    from mtl.serving.application import Application
    from mtl.serving.counters import Counters
    from mtl.serving.limits import Limits
    from mtl.serving.running import RunningServer
    from mtl.serving.served_model import ServedModel, ServedTask
    from mtl.serving.server import listening

    class Same:
        """A prediction of about the size of those for EWT."""

        def to_dict(self) -> dict[str, Any]:
            return {"text": "a" * 80, "tokens": ["word"] * 16, "pos": ["NOUN"] * 16}

    model = ServedModel(
        "none",
        {"pos": ServedTask("token", "labels", pairs=False, spans=False, attention=False)},
        lambda own, *_, **__: iter([Same()] * len(own)),
        lambda _: ["pos"],
        lambda _: False,
        (),
    )
    rows = []
    with listening("127.0.0.1", 0) as listener:
        limits, started, thread_id = Limits(), Event(), 0
        served = RunningServer(Application(model, limits, Counters()), limits)
        served.on_start = started.set

        def run() -> None:
            nonlocal thread_id
            thread_id = get_native_id()
            served.run([listener])

        def used_by_thread() -> float:
            content = Path(f"/proc/self/task/{thread_id}/schedstat").read_text()
            return int(content.split()[0]) / 1e9

        thread = Thread(target=run)
        thread.start()
        started.wait()
        port = listener.getsockname()[1]
        for name in ("1 client", "8 clients", "64 clients"):
            found = []
            for _ in range(rounds + 1):  # the first one is not counted
                before = used_by_thread()
                measured = load(port, os.getpid(), texts, name, seconds)
                found.append((used_by_thread() - before) / len(measured.times))
            costs = [1e6 * own for own in found[1:]]
            rows.append([name, f"{median(costs):.0f} ({min(costs):.0f}–{max(costs):.0f})"])
        served.should_exit = True
        thread.join()
    return rows


def _load(model: str) -> Any:
    if Path(model).is_file():
        import mtl_runtime

        return mtl_runtime.load(model)
    return mtl.load(model, device="cpu")


def malformed(model: str, number: int) -> str:
    """Send wrong requests; return a table of the statuses."""
    sys.path.insert(0, str(ROOT))
    from hypothesis import HealthCheck, given, settings

    from tests.serving import malformed as wrong
    from tests.serving.client import JSON, Client, everything, raw_post

    statuses: dict[str, Counter[int]] = {"bodies": Counter(), "heads": Counter()}
    statuses["damaged bytes"] = Counter()
    slowest = 0.0
    options = settings(
        max_examples=number, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    with server(model, "--max-texts", "5", "--max-characters", "1000") as (port, _):
        client = Client(port, None, None)  # type: ignore[arg-type]

        def send(kind: str, *request: Any) -> None:
            nonlocal slowest
            begun = time.perf_counter()
            found = client.send(*request)
            slowest = max(slowest, time.perf_counter() - begun)
            statuses[kind][found.status] += 1

        @options
        @given(wrong.wrong_bodies)
        def bodies(body: bytes) -> None:
            send("bodies", "POST", "/predict", body, JSON)

        @options
        @given(wrong.wrong_heads, wrong.wrong_bodies)
        def heads(head: dict[str, str], body: bytes) -> None:
            headers = {"Content-Type": head.get("type", "application/json")}
            headers |= {"Content-Encoding": head["encoding"]} if "encoding" in head else {}
            send("heads", head["method"], head.get("path", "/predict"), body, headers)

        bodies()
        heads()
        rng = random.Random(1)
        for _ in range(number):
            begun = time.perf_counter()
            with client.connect() as connection:
                connection.sendall(wrong.damaged(rng, raw_post(b'{"text": "Ann left."}')))
                connection.shutdown(1)
                answer = everything(connection)
            slowest = max(slowest, time.perf_counter() - begun)
            statuses["damaged bytes"][int(answer.split(b" ")[1]) if answer else 0] += 1
        assert client.predict(["Ann left."])
    columns = sorted({status for own in statuses.values() for status in own})
    head = ["wrong at random", *(str(status) if status else "no answer" for status in columns)]
    rows = [[kind, *(f"{own[status]:,}" for status in columns)] for kind, own in statuses.items()]
    return f"{table(head, rows)}\n\nThe slowest answer took {slowest:.2f} s."


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", nargs="?", default="english")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each load in a round")
    parser.add_argument("--bundle", action="store_true", help="measure a bundle of the model too")
    parser.add_argument("--malformed", type=int, metavar="N", help="send N wrong requests per kind")
    parser.add_argument("--http", action="store_true", help="measure HTTP without a model")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    if options.malformed:
        found = malformed(options.model, options.malformed)
        report("serve_malformed", f"# Wrong requests\n\n{found}\n\n{conditions(PACKAGES)}")
        return
    if not EWT_TEST.is_file():
        parser.error("needs ud_english_ewt in the folder $MTL_DATA")
    texts = ewt_test_texts()
    if options.http:
        rows = http_alone(texts, options.rounds, options.seconds)
        found = table(["", "processor µs/request"], rows)
        report("serve_http", f"# HTTP without a model\n\n{found}\n\n{conditions(PACKAGES)}")
        return
    import torch

    torch.set_num_threads(1)
    head = ["", "texts/s", f"of {BATCH} in process", "processor µs/text", "p50 ms", "p99 ms"]
    parts = ["# The server beside the model in process"]
    with TemporaryDirectory() as folder:
        models = {"run folder (PyTorch)": options.model}
        if options.bundle:
            models["bundle (runtime)"] = f"{folder}/model.mtl"
            mtl.load(options.model, device="cpu").save_bundle(models["bundle (runtime)"])
        for title, model in models.items():
            rows = measure(model, texts, options.rounds, options.seconds)
            parts.append(f"## {title}\n\n{table(head, rows)}")
    report("serve", "\n\n".join([*parts, conditions(PACKAGES)]))


if __name__ == "__main__":
    main()
