"""The state of the server for people and programs: health, metrics, description."""

from __future__ import annotations

import dataclasses
from typing import Any

import jsonschema
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from mtl.serving.counters import BATCHES, SECONDS, Counters
from mtl.serving.served_model import ServedModel
from tests.serving.client import Client, serving


def test_health(client: Client) -> None:
    found = client.get("/health")
    tagger = {"level": "token", "values": "labels", "pairs": False}
    assert (found.status, found.json["live"], found.json["ready"]) == (200, True, True)
    assert found.json["model"] == "small"
    assert found.json["tasks"] == {
        "ner": tagger,
        "pos": tagger,
        "mood": {**tagger, "level": "sentence"},
    }


def test_a_fault_of_the_page_is_an_error_of_the_server(
    served: ServedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(model: ServedModel) -> str:
        raise RuntimeError("no page")

    monkeypatch.setattr("mtl.serving.page.page", fail)
    with serving(served) as client:
        assert client.get("/").status == 500
        assert client.get("/health").status == 200


def test_metrics_count_requests(served: ServedModel) -> None:
    with serving(served) as client:
        client.predict(["Ann", "Bob"])
        client.post({})
        client.get("/nowhere")
        assert client.metric('mtl_requests_total{status="200"}') == 1
        assert client.metric('mtl_requests_total{status="422"}') == 1
        assert client.metric("mtl_texts_total") == 2
        assert client.metric('mtl_batch_texts_bucket{le="1"}') == 0
        assert client.metric('mtl_batch_texts_bucket{le="2"}') == 1
        assert client.metric("mtl_request_seconds_count") == 1
        assert client.metric("mtl_queue_requests") == client.metric("mtl_open_requests") == 0


def test_metrics_have_the_format_of_prometheus(client: Client) -> None:
    found = client.get("/metrics")
    assert found.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = found.body.decode().splitlines()
    kinds = dict(line.split()[2:4] for line in lines if line.startswith("# TYPE"))
    for line in lines:
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            name = name.partition("{")[0]
            base = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count")
            assert name in kinds or kinds[base] == "histogram"
            assert float(value) >= 0


def test_histograms_are_cumulative() -> None:
    counters = Counters()
    for value in (0.001, 0.002, 99.0):
        counters.answered(200, value)
    lines = counters.text().splitlines()
    buckets = [line for line in lines if line.startswith("mtl_request_seconds_bucket")]
    assert [float(line.split()[-1]) for line in buckets] == [1] + [2] * (len(SECONDS) - 1) + [3]
    assert f"mtl_request_seconds_sum {99.003:.9g}" in lines
    assert sum(line.startswith("mtl_batch_texts_bucket") for line in lines) == len(BATCHES) + 1


def test_processes_report_their_sums(tmp_path: Any) -> None:
    file = tmp_path / "counts"
    file.touch()
    first, second = (Counters(file, row, 2) for row in range(2))
    first.answered(200, 0.1)
    first.labelled(3)
    second.labelled(5)
    assert first.text() == second.text()
    assert "mtl_texts_total 8" in first.text().splitlines()
    restarted = Counters(file, 0, 2)
    assert restarted.text() == second.text()


def test_description_is_valid(client: Client) -> None:
    OpenAPIV31SpecValidator(client.get("/openapi.json").json).validate()


def test_description_fits_requests_and_answers(client: Client) -> None:
    described = client.get("/openapi.json").json

    def check(name: str, value: Any) -> None:
        schema = {"$ref": f"#/components/schemas/{name}", "components": described["components"]}
        jsonschema.Draft202012Validator(schema).validate(value)

    for fields in (
        {"texts": ["Ann left Rome.", ["Bob"], ""], "confidence": True},
        {"text": "Ann", "tasks": ["mood"], "attention": True, "abstain": 0.99, "unit": "record"},
        {"tokens": ["Ann"], "tasks": None},
    ):
        check("Query", fields)
        check("Answer", client.post(fields).json)
    check("Error", client.post({}).json)
    check("Health", client.get("/health").json)
    assert not jsonschema.Draft202012Validator(
        {"$ref": "#/components/schemas/Query", "components": described["components"]}
    ).is_valid({"text": "a", "texts": ["a"]})


def test_pairs_are_described(served: ServedModel) -> None:
    from mtl.serving.limits import Limits
    from mtl.serving.openapi import describe

    tasks = {"same": dataclasses.replace(served.tasks["mood"], pairs=True)}
    described = describe(dataclasses.replace(served, tasks=tasks), Limits())
    OpenAPIV31SpecValidator(described).validate()
    assert "text_b" in described["components"]["schemas"]["Query"]["properties"]


def test_heads_have_no_body(client: Client) -> None:
    found = client.send("HEAD", "/health")
    assert (found.status, found.body) == (200, b"")
