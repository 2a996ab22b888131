"""Clients that leave, are slow or send too much; a full queue; the end of the server."""

from __future__ import annotations

import dataclasses
import http.client
import json
import socket
import struct
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from threading import Event
from typing import Any

import pytest

from mtl.serving.limits import Limits
from mtl.serving.served_model import ServedModel
from tests.serving.client import JSON, Client, everything, raw_post, serving

BODY = json.dumps({"text": "Ann left Rome."}).encode()


class Gate:
    """A model that labels only when the gate is open."""

    def __init__(self, model: ServedModel) -> None:
        self.open, self.reached = Event(), Event()
        self.model = dataclasses.replace(model, annotate=self._annotate)
        self._inner = model

    def _annotate(self, *arguments: Any, **options: Any) -> Any:
        self.reached.set()
        assert self.open.wait(20)
        return self._inner.annotate(*arguments, **options)


@pytest.fixture
def gate(served: ServedModel) -> Iterator[Gate]:
    found = Gate(served)
    yield found
    found.open.set()


def until(condition: Any) -> None:
    """Wait until a condition is true."""
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("the condition did not become true")


def waiting(client: Client, number: int) -> None:
    """Wait until a number of requests wait for the model."""
    until(lambda: client.metric("mtl_queue_requests") == number)


@pytest.mark.parametrize("sent", [1, 40, 100, len(raw_post(BODY))])
@pytest.mark.parametrize("reset", [True, False])
def test_clients_that_leave(client: Client, sent: int, reset: bool) -> None:
    connection = client.connect()
    connection.sendall(raw_post(BODY)[:sent])
    if reset:  # the connection ends with an error for the server
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()
    assert client.predict(["Ann"])
    until(lambda: client.metric("mtl_open_requests") == 0)


def test_a_client_that_ends_its_side_gets_its_answer(client: Client) -> None:
    with client.connect() as connection:
        connection.sendall(raw_post(BODY, b"Connection: close\r\n"))
        connection.shutdown(socket.SHUT_WR)
        assert everything(connection).startswith(b"HTTP/1.1 200 ")


def test_several_requests_at_once_on_one_connection(client: Client) -> None:
    with client.connect() as connection:
        connection.sendall(raw_post(BODY) * 4 + raw_post(BODY, b"Connection: close\r\n"))
        assert everything(connection).count(b"HTTP/1.1 200 ") == 5


@pytest.mark.parametrize("sent", [0, 20, 100, -1])
def test_slow_clients_are_cut_off_and_delay_nobody(served: ServedModel, sent: int) -> None:
    with serving(served, Limits(seconds=0.3)) as client, client.connect() as slow:
        slow.sendall(raw_post(BODY)[:sent] if sent else b"")
        assert client.predict(["Ann"])
        answer = everything(slow)
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_bytes_that_drip_do_not_extend_the_time(served: ServedModel) -> None:
    with serving(served, Limits(seconds=0.3)) as client, client.connect() as slow:
        slow.settimeout(0.05)
        request, answer = raw_post(BODY), b""
        for place in range(len(request)):
            try:
                slow.sendall(request[place : place + 1])
                answer = slow.recv(1000)
            except TimeoutError:
                continue
            break
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_dripped_request_in_time_is_answered(client: Client) -> None:
    with client.connect() as slow:
        request = raw_post(BODY, b"Connection: close\r\n")
        for place in range(0, len(request), 7):
            slow.sendall(request[place : place + 7])
            time.sleep(0.005)
        assert everything(slow).startswith(b"HTTP/1.1 200 ")


def test_a_huge_body_is_refused_before_it_is_sent(client: Client) -> None:
    with client.connect() as connection:
        head = raw_post(b"", b"Expect: 100-continue\r\n").replace(b"th: 0", b"th: 99999999999")
        connection.sendall(head)
        assert connection.recv(1000).startswith(b"HTTP/1.1 413 ")


def test_the_client_of_a_huge_body_sees_the_refusal(served: ServedModel) -> None:
    with serving(served, Limits(body=1000)) as client:
        found = client.send("POST", "/predict", b" " * 5_000_000, JSON)
        assert found.json == {"error": "expected a body of at most 1,000 bytes"}


def test_a_huge_body_without_length(served: ServedModel) -> None:
    parts = (b" " * 10_000 for _ in range(100))
    with serving(served, Limits(body=50_000)) as client:
        assert client.send("POST", "/predict", parts, JSON, chunked=True).status == 413
        assert client.predict(["Ann"])


def test_a_body_without_end_is_cut_off(served: ServedModel) -> None:
    with serving(served, Limits(body=50_000, seconds=10)) as client:
        with client.connect() as connection:
            head = raw_post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
            connection.sendall(head)
            part = b"2710\r\n%s\r\n" % (b" " * 10_000)
            with pytest.raises(ConnectionError):
                deque(map(connection.sendall, repeat(part, 20_000)), maxlen=0)
        assert client.predict(["Ann"])


def test_a_broken_body_is_counted_by_the_status_of_its_refusal(served: ServedModel) -> None:
    with serving(served) as client:
        with client.connect() as connection:
            head = raw_post(b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
            connection.sendall(head + b"not a size\r\n")
            assert everything(connection).startswith(b"HTTP/1.1 400 ")
        assert client.metric('mtl_requests_total{status="400"}') == 1


def test_a_full_queue_refuses_and_loses_nothing(gate: Gate) -> None:
    with serving(gate.model, Limits(queue=3)) as client, ThreadPoolExecutor(3) as pool:
        first = [pool.submit(client.post, {"text": "Ann left."}) for _ in range(3)]
        waiting(client, 3)
        refused = client.post({"text": "Bob"})
        assert (refused.status, refused.headers["retry-after"]) == (429, "1")
        assert refused.json == {"error": "3 requests wait already; try again later"}
        assert client.get("/health").status == 200
        gate.open.set()
        assert [answer.result().status for answer in first] == [200, 200, 200]
        assert client.post({"text": "Bob"}).status == 200


def test_too_many_open_requests(served: ServedModel) -> None:
    with serving(served, Limits(open=2)) as client:
        slow = [client.connect() for _ in range(2)]
        for connection in slow:
            connection.sendall(raw_post(BODY)[:-1])
        until(lambda: client.metric("mtl_open_requests") == 2)
        assert client.post({"text": "Bob"}).status == 503
        for connection in slow:
            connection.sendall(BODY[-1:])
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 ")
            connection.close()


def test_a_request_that_waits_too_long(gate: Gate) -> None:
    with serving(gate.model, Limits(seconds=0.2)) as client:
        found = client.post({"text": "Ann"})
        assert found.json == {"error": "there was no prediction within 0.2 seconds"}
        assert found.status == 503
        gate.open.set()
        assert client.post({"text": "Ann"}).status == 200


def test_a_long_request_does_not_hold_up_others(client: Client) -> None:
    long = {"texts": ["Ann Smith left New Rome . " * 40] * 150}
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.post, long)
        waiting(client, 1)
        assert client.post({"text": "Bob saw Oslo."}).status == 200
        assert not slow.done()
        assert len(slow.result().json["predictions"]) == 150


def test_the_end_answers_what_was_sent(gate: Gate) -> None:
    with serving(gate.model) as client, ThreadPoolExecutor(8) as pool:
        idle = http.client.HTTPConnection("127.0.0.1", client.port)
        idle.connect()
        answers = [pool.submit(client.post, {"text": f"Ann left {k}."}) for k in range(8)]
        waiting(client, 8)
        last = client.connect()
        last.sendall(raw_post(BODY))
        client.server.should_exit = True
        time.sleep(0.3)
        gate.open.set()
        assert [answer.result().status for answer in answers] == [200] * 8
        assert everything(last).startswith(b"HTTP/1.1 200 ")
        client.thread.join(20)
        assert not client.thread.is_alive()
        with pytest.raises(ConnectionError):
            client.connect()
        idle.close()
        last.close()
