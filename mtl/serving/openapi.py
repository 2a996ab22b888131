"""The description of the server in the form of OpenAPI 3.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mtl.serving.limits import Limits
from mtl.serving.served_model import ServedModel
from mtl.version import __version__

_REFUSALS: Mapping[int, str] = {
    400: "The body is not JSON in UTF-8.",
    405: "The method is not POST.",
    408: "The request was not complete in time.",
    413: "The body, a text, or the number of texts is too large.",
    415: "The body is not application/json, or is compressed.",
    422: "A field of the JSON is not as expected.",
    429: "Too many requests wait.",
    503: "Too many requests are open, or there was no prediction in time.",
}


def describe(model: ServedModel, limits: Limits) -> dict[str, Any]:
    """Return the description of a server for a model."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": f"mtl: {model.name}",
            "version": __version__,
            "description": "Predictions of one model for several tasks.",
        },
        "paths": {
            "/predict": {"post": _predict(model, limits)},
            "/health": {
                "get": {
                    "summary": "The state of the server, and the tasks of the model",
                    "operationId": "health",
                    "responses": {
                        "200": _json_response("The server is ready.", "Health"),
                        "503": _json_response("The server is stopping or broken.", "Health"),
                    },
                }
            },
            "/metrics": {"get": _plain("Counts for Prometheus", "metrics", "text/plain")},
            "/openapi.json": {
                "get": _plain("This description", "openapi", "application/json", "object")
            },
            "/": {"get": _plain("A page for people", "page", "text/html")},
        },
        "components": {"schemas": _schemas(model, limits)},
    }


def _predict(model: ServedModel, limits: Limits) -> dict[str, Any]:
    refusals = {
        str(status): _json_response(description, "Error")
        for status, description in {**_REFUSALS, 500: "An error in the server."}.items()
    }
    return {
        "summary": "Predictions for one or several texts",
        "operationId": "predict",
        "requestBody": {
            "required": True,
            "description": f"At most {limits.body:,} bytes.",
            "content": {"application/json": {"schema": _reference("Query")}},
        },
        "responses": {"200": _json_response("One prediction per text.", "Answer"), **refusals},
    }


def _plain(summary: str, name: str, media: str, kind: str = "string") -> dict[str, Any]:
    content = {media: {"schema": {"type": kind}}}
    return {
        "summary": summary,
        "operationId": name,
        "responses": {"200": {"description": f"{summary}.", "content": content}},
    }


def _json_response(description: str, schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": _reference(schema)}}
    return {"description": description, "content": content}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _schemas(model: ServedModel, limits: Limits) -> dict[str, Any]:
    words = {"type": "array", "items": {"type": "string"}}
    text = {"type": "string", "maxLength": limits.characters}
    single = {"anyOf": [text, words]}
    pair = {"type": "array", "items": single, "minItems": 2, "maxItems": 2}
    kinds = {task.pairs for task in model.tasks.values()}
    items = [form for form, pairs in ((single, False), (pair, True)) if pairs in kinds]
    item = items[0] if len(items) == 1 else {"anyOf": items}
    fields: dict[str, Any] = {
        "texts": {
            "type": "array",
            "items": item,
            "maxItems": limits.texts,
            "description": "Texts or lists of words; for tasks on pairs, lists of two.",
        },
        "text": {**text, "description": "A single text, in place of texts."},
        "tokens": {**words, "description": "The words of a single text, in place of texts."},
        "tasks": {
            "type": ["array", "null"],
            "items": {"enum": list(model.tasks)},
            "minItems": 1,
            "description": "The tasks; default: all except tasks whose labels are derived from "
            "the text.",
        },
        "confidence": {
            "type": "boolean",
            "default": False,
            "description": "Whether to return the probabilities of labels.",
        },
        "attention": {
            "type": "boolean",
            "default": False,
            "description": "Whether to return attention weights, if the head has them.",
        },
        "abstain": {
            "type": ["number", "null"],
            "minimum": 0,
            "maximum": 1,
            "description": "Labels of a lower confidence are null.",
        },
        "unit": {
            "enum": ["sentence", "record", None],
            "description": "The unit that tasks read; default: as each was trained.",
        },
    }
    given = [["texts"], ["text"], ["tokens"]]
    if True in kinds:
        fields |= {
            "text_b": {**text, "description": "The second text of a single pair."},
            "tokens_b": {**words, "description": "The words of the second text of a pair."},
        }
    return {
        "Query": {
            "type": "object",
            "properties": fields,
            "additionalProperties": False,
            "oneOf": [{"required": required} for required in given],
        },
        "Answer": {
            "type": "object",
            "properties": {"predictions": {"type": "array", "items": _reference("Prediction")}},
            "required": ["predictions"],
        },
        "Prediction": _prediction(model),
        "Health": {
            "type": "object",
            "properties": {
                "live": {"type": "boolean"},
                "ready": {"type": "boolean"},
                "model": {"type": "string"},
                "tasks": {"type": "object"},
            },
            "required": ["live", "ready", "model", "tasks"],
        },
        "Error": {
            "type": "object",
            "properties": {
                "error": {"type": "string", "description": "The reason."},
                "place": {"type": "string", "description": "The place in the JSON: texts[3]."},
            },
            "required": ["error"],
        },
    }


def _prediction(model: ServedModel) -> dict[str, Any]:
    """Return the schema of the record of a text: the same as of `mtl predict --format jsonl`."""
    words = {"type": "array", "items": {"type": "string"}}
    offsets = {
        "type": "array",
        "items": {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2},
        "description": "First character of each word, and the character after its last one.",
    }
    by_task = {"type": "object", "propertyNames": {"enum": list(model.tasks)}}
    return {
        "type": "object",
        "properties": {
            **{name: _values(task.level, task.values) for name, task in model.tasks.items()},
            "text": {"type": "string"},
            "tokens": words,
            "text_b": {"type": "string"},
            "tokens_b": words,
            "offsets": offsets,
            "spans": {**by_task, "additionalProperties": {"type": "array"}},
            "confidence": by_task,
            "attention": by_task,
            "attention_b": by_task,
        },
        "required": ["tokens"],
    }


def _values(level: str, values: str) -> dict[str, Any]:
    kinds: Mapping[str, dict[str, Any]] = {
        "labels": {"type": ["string", "null"]},
        "sets": {"type": ["array", "null"], "items": {"type": "string"}},
        "numbers": {"type": ["number", "null"]},
        "distributions": {"type": ["object", "null"], "additionalProperties": {"type": "number"}},
        "log_probs": {"type": ["string", "null"]},
    }
    own = kinds[values]
    return own if level == "sentence" else {"type": "array", "items": own}
