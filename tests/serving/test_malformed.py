"""Wrong requests get a status from 400 to 499 and the place of the error, and none hangs."""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings

from mtl.serving.limits import Limits
from mtl.serving.served_model import ServedModel
from tests.serving.client import JSON, Client, everything, raw_post, serving
from tests.serving.malformed import damaged, wrong_bodies, wrong_heads

MOST = Limits(body=200_000, texts=5, characters=100, seconds=20)


@pytest.fixture(scope="module")
def small(served: ServedModel) -> Iterator[Client]:
    with serving(served, MOST) as client:
        yield client


@pytest.mark.parametrize(
    ("fields", "status", "place"),
    [
        ([], 422, ""),
        ({}, 422, ""),
        ({"txt": "a"}, 422, "txt"),
        ({"text": 1}, 422, "text"),
        ({"tokens": "a"}, 422, "tokens"),
        ({"tokens": ["a", None]}, 422, "tokens[1]"),
        ({"text": "a", "tokens": ["a"]}, 422, "tokens"),
        ({"texts": "a"}, 422, "texts"),
        ({"texts": ["a"], "text": "a"}, 422, "text"),
        ({"texts": ["a", {}]}, 422, "texts[1]"),
        ({"texts": ["a", ["b", ["c"]]]}, 422, "texts[1][1]"),
        ({"texts": ["a", "\ud83d"]}, 422, "texts[1]"),
        ({"texts": [["a", "\udc00"]]}, 422, "texts[0]"),
        ({"text": "a", "text_b": "b"}, 422, "text_b"),
        ({"text": "a", "tasks": []}, 422, "tasks"),
        ({"text": "a", "tasks": "ner"}, 422, "tasks"),
        ({"text": "a", "tasks": ["ner", 1]}, 422, "tasks[1]"),
        ({"text": "a", "tasks": ["pos", "nre"]}, 422, "tasks[1]"),
        ({"text": "a", "confidence": 1}, 422, "confidence"),
        ({"text": "a", "attention": "yes"}, 422, "attention"),
        ({"text": "a", "attention": True, "tasks": ["ner"]}, 422, "attention"),
        ({"text": "a", "abstain": 1.5}, 422, "abstain"),
        ({"text": "a", "abstain": True}, 422, "abstain"),
        ({"text": "a", "unit": []}, 422, "unit"),
        ({"texts": ["a"] * 6}, 413, "texts"),
        ({"texts": ["a", "b" * 101]}, 413, "texts[1]"),
        ({"texts": [["b"] * 51]}, 413, "texts[0]"),
        ({"text": "a" * 101}, 413, "text"),
        ({"texts": ["a" * 200_000]}, 413, ""),
        (b'{"text":\n nothing}', 400, "line 2, column 2"),
        (b'{"text": "\xff"}', 400, ""),
        (b'{"text": "a", "abstain": NaN}', 400, ""),
        (b"[" * 100_000, 400, ""),
        (b'{"abstain": ' + b"9" * 5000 + b"}", 400, ""),
        (b"", 400, "line 1, column 1"),
        (b'{"text": "a", "text": "b"}', 400, ""),
        (b'{"text": "a", "abstain": 1e400}', 422, "abstain"),
    ],
)
def test_status_and_place(small: Client, fields: Any, status: int, place: str) -> None:
    assert small.post(fields).told == (status, place)


def test_a_wrong_name_has_a_hint(small: Client) -> None:
    found = small.post({"text": "a", "tasks": ["nre"]}).json
    assert found == {
        "error": "the model has no such task; did you mean 'ner'?",
        "place": "tasks[0]",
    }


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ('application/json;charset="utf-8"', 200),
        ("application/json; charset=latin-1", 415),
        ("text/plain", 415),
        ("", 415),
    ],
)
def test_types_of_bodies(small: Client, kind: str, status: int) -> None:
    found = small.send("POST", "/predict", b'{"text": "a"}', {"Content-Type": kind})
    assert found.status == status


def test_compressed_bodies_are_refused(small: Client) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    assert small.send("POST", "/predict", b"", headers).status == 415


def test_methods_and_paths(small: Client) -> None:
    found = small.get("/predict")
    assert (found.status, found.headers["allow"]) == (405, "POST")
    found = small.send("POST", "/health", b"")
    assert (found.status, found.headers["allow"]) == (405, "GET, HEAD")
    assert small.get("/predictions").status == 404


@settings(max_examples=150)
@given(wrong_bodies)
def test_wrong_bodies(small: Client, body: bytes) -> None:
    found = small.post(body)
    assert found.status == 200 or 400 <= found.status < 500
    assert ("predictions" if found.status == 200 else "error") in found.json


@settings(max_examples=100)
@given(wrong_heads, wrong_bodies)
def test_wrong_heads(small: Client, head: dict[str, str], body: bytes) -> None:
    headers = {"Content-Type": head.get("type", "application/json")}
    headers |= {"Content-Encoding": head["encoding"]} if "encoding" in head else {}
    found = small.send(head["method"], head.get("path", "/predict"), body, headers)
    assert found.status == 200 or 400 <= found.status < 500


def test_damaged_requests(small: Client) -> None:
    rng = random.Random(1)
    for _ in range(100):
        with small.connect() as connection:
            connection.sendall(damaged(rng, raw_post(b'{"text": "Ann left."}')))
            connection.shutdown(socket.SHUT_WR)
            answer = everything(connection)
        # A request that is cut short has no answer.
        assert not answer or 200 <= int(answer.split(b" ")[1]) < 500
    assert small.predict(["Ann"])


def test_errors_of_the_protocol_are_json(small: Client) -> None:
    with small.connect() as connection:
        connection.sendall(b"this is not HTTP\r\n\r\n")
        head, _, body = everything(connection).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert json.loads(body) == {"error": "expected a request in HTTP/1.1"}


def test_long_headers_are_refused(small: Client) -> None:
    with small.connect() as connection:
        connection.sendall(raw_post(b"{}", b"X: %s\r\n" % (b"a" * 70_000)))
        assert everything(connection).startswith(b"HTTP/1.1 431 ")


def test_long_trailers_are_refused_and_counted_once(small: Client) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    body = b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    with small.connect() as connection:
        connection.sendall(head + body + b"X: %s\r\n\r\n" % (b"a" * 70_000))
        assert everything(connection).startswith(b"HTTP/1.1 431 ")
    assert small.metric("mtl_open_requests") == 0
    assert small.metric('mtl_requests_total{status="431"}') == 1
