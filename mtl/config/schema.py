"""JSON Schema of run and corpus files, for completion and checks in editors.

The schema does not mark keys as required, since an extended file may contain them.
"""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter

from mtl.config.build import Kinds, alternatives_of, kind_of
from mtl.config.parts import Settings
from mtl.config.reference import first_line
from mtl.config.run import SLOTS, Run
from mtl.options import REQUIRED, Option, part_options
from mtl.registry import Registry

Schema = dict[str, Any]

_EXTENDS = {
    "description": "One or more files whose keys this file extends and overrides.",
    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
}


def json_schema(kinds: Kinds) -> Schema:
    """Return the JSON Schema (2020-12) of a run file.

    `$defs/CorpusConfig` is the schema of a corpus file.

    Args:
        kinds: The registries by the kind of part.
    """
    definitions = {f"{name}_part": _part(name, registry) for name, registry in kinds.items()}
    definitions |= {name: _settings(model) for name, model in _models(Run).items()}
    run = definitions.pop("Run")
    part = run["properties"]["embedding"]["additionalProperties"]
    run["properties"]["embedding"] |= _closed(dict.fromkeys(SLOTS, part))
    for file in (run, definitions["CorpusConfig"]):
        file["properties"] = {"extends": _EXTENDS, **file["properties"]}
    definitions["CorpusConfig"]["properties"]["files"]["additionalProperties"] = {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
            {"type": "null"},
        ]
    }
    # A head may also be the name of another task, which the schema of a part does not allow.
    head = definitions["Task"]["properties"]["head"]
    head["anyOf"].append({"type": "string", "description": "Another task of the run."})
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A run of mtl",
        **run,
        "$defs": definitions,
    }


def corpus_schema(kinds: Kinds) -> Schema:
    """Return the JSON Schema (2020-12) of a corpus file."""
    schema = json_schema(kinds)
    definitions = schema["$defs"]
    title = {"$schema": schema["$schema"], "title": "A corpus of mtl"}
    return {**title, **definitions["CorpusConfig"], "$defs": definitions}


def _models(model: type[Settings]) -> dict[str, type[Settings]]:
    """Return a model and the models of its fields, by name; computed fields are skipped."""
    models = {model.__name__: model}
    for name, annotation in get_type_hints(model, include_extras=True).items():
        if name in model.model_fields and not model.model_fields[name].exclude:
            for inner in _inside(annotation):
                models |= _models(inner)
    return models


def _inside(annotation: Any) -> list[type[Settings]]:
    """Return the models inside a type, except parts."""
    if kind_of(annotation):
        return []
    if isinstance(annotation, type) and issubclass(annotation, Settings):
        return [annotation]
    return [model for argument in get_args(annotation) for model in _inside(argument)]


def _settings(model: type[Settings]) -> Schema:
    hints = get_type_hints(model, include_extras=True)
    properties = {}
    for name, field in model.model_fields.items():
        if field.exclude:
            continue
        schema = _value(hints[name])
        if field.description:
            schema = {"description": field.description, **schema}
        if field.default is not None and not field.is_required():
            default = field.default
            schema["default"] = default.model_dump() if isinstance(default, Settings) else default
        properties[name] = schema
    return {"description": inspect.getdoc(model), **_closed(properties)}


def _closed(properties: Schema) -> Schema:
    # Editors then mark misspelled keys.
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _nullable(*schemas: Schema) -> Schema:
    return {"anyOf": [*schemas, {"type": "null"}]}


def _value(annotation: Any) -> Schema:
    """Return the schema of a field."""
    if kind := kind_of(annotation):
        short = [{"type": "number"}] if kind.number else []
        return _nullable({"$ref": f"#/$defs/{kind.name}_part"}, *short)
    first = alternatives_of(annotation)[0][0]
    if get_origin(first) is dict:
        return {"type": "object", "additionalProperties": _value(get_args(first)[1])}
    if not (isinstance(first, type) and issubclass(first, Settings)):
        return _plain(annotation)
    short = [{"type": "string"}] if first.shorthand else []
    return _nullable({"$ref": f"#/$defs/{first.__name__}"}, *short)


def _plain(annotation: Any) -> Schema:
    return TypeAdapter(annotation).json_schema()


def _part(kind: str, registry: Registry[Any]) -> Schema:
    """Return the schema of a part: its name, or a mapping with its options."""
    parts = {name: part_options(cls) for name, cls in registry.items()}
    custom = {
        "description": "A class of your own, as module:Class",
        "type": "string",
        "pattern": ":",
    }
    variants = [
        {
            "title": name,
            "description": first_line(registry.find(name)),
            **_closed({"type": {"const": name}, **_options(options)}),
            "required": ["type"],
        }
        for name, options in parts.items()
    ]
    # A mapping without `type` changes options of a part that another file chose.
    unnamed: dict[str, list[Schema]] = {}
    for options in parts.values():
        for name, schema in _options(options).items():
            unnamed.setdefault(name, []).append(schema)
    return {
        "description": f"The {kind}: a name, or a mapping with `type` and options.",
        "oneOf": [
            {"enum": list(parts)},
            custom,
            *variants,
            {"type": "object", "properties": {"type": custom}, "required": ["type"]},
            {
                "title": "(type as in the extended file, or the default)",
                **_closed({name: {"anyOf": schemas} for name, schemas in unnamed.items()}),
            },
        ],
    }


def _options(options: dict[str, Option]) -> Schema:
    properties = {}
    for name, option in options.items():
        schema = _plain(option.annotation)
        if option.help:
            schema = {"description": option.help, **schema}
        if option.default is not REQUIRED:
            schema["default"] = option.default
        properties[name] = schema
    return properties
