"""The graph of an exported program as JSON, for the interpreter of `mtl-runtime`.

A graph is `{"inputs": [name], "nodes": [[name, operator, arguments, keywords]], "outputs": {name:
value}}`. Names refer to inputs, constants or earlier nodes: `{"of": name}` in the arguments.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from mtl.errors import MtlError

_CHECKS = ("_assert", "sym_constrain", "_check")
"""Operators that only check their arguments begin with these."""
_IGNORED = {"device", "layout", "memory_format", "pin_memory", "non_blocking"}
"""Keywords that change no value on a CPU."""


def to_graph(
    program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return a program as a graph, and the constants that it reads.

    Args:
        program: The program.
        inputs: The names of its inputs, in order.
        outputs: The names of its outputs, in order.

    Raises:
        MtlError: A value of the program has no form in JSON.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch, about its own code
        program = program.run_decompositions({})  # in-place operators become functions
    graph = program.graph_module.graph
    graph.eliminate_dead_code()
    names: dict[str, str] = {}
    constants: dict[str, Tensor] = {}
    given = iter(inputs)
    for spec in program.graph_signature.input_specs:
        name = spec.arg.name
        if spec.kind is InputKind.USER_INPUT:
            names[name] = next(given)
        elif spec.kind in (InputKind.PARAMETER, InputKind.BUFFER, InputKind.CONSTANT_TENSOR):
            assert spec.target is not None
            names[name] = spec.target
            found = program.state_dict.get(spec.target)
            tensor = program.constants[spec.target] if found is None else found
            constants[names[name]] = tensor.detach()
    nodes: list[list[Any]] = []
    results: Sequence[Any] = ()
    for node in graph.nodes:
        if node.op == "output":
            results = node.args[0]
        elif node.op == "call_function":
            operator = _name(node.target)
            if any(part.startswith(_CHECKS) for part in operator.split(".")):
                continue
            names[node.name] = f"%{len(nodes)}"
            keywords = {k: _value(v, names) for k, v in node.kwargs.items() if k not in _IGNORED}
            arguments = [_value(value, names) for value in node.args]
            nodes.append([names[node.name], operator, arguments, keywords])
    ends = {name: _value(value, names) for name, value in zip(outputs, results, strict=True)}
    used = _used([nodes, ends])
    graph_json = {
        "inputs": [name for name in inputs if name in used],
        "nodes": nodes,
        "outputs": ends,
    }
    return graph_json, {name: value for name, value in constants.items() if name in used}


def _name(target: Any) -> str:
    """Return the name of an operator, such as aten.linear.default, or of a Python function."""
    if isinstance(target, torch._ops.OpOverload):
        return str(target)
    return f"python.{target.__name__}"


def _value(value: Any, names: Mapping[str, str]) -> Any:
    """Return an argument as JSON types."""
    if isinstance(value, Node):
        return {"of": names[value.name]}
    if isinstance(value, (list, tuple)):
        return [_value(item, names) for item in value]
    if isinstance(value, torch.dtype):
        return {"dtype": str(value).removeprefix("torch.")}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise MtlError(f"the model cannot be exported: a value of type {type(value).__name__}")


def _used(value: Any) -> set[str]:
    """Return all names that a value refers to."""
    if isinstance(value, list):
        return set().union(*map(_used, value))
    if isinstance(value, dict):
        own = {value["of"]} if isinstance(value.get("of"), str) else set()
        return own.union(*map(_used, value.values()))
    return set()
