"""Programs: graphs of operators, run on numpy arrays."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from mtl_runtime.operators import LOOKUPS, MOST, OPERATORS, WORDS, folded, result_size
from mtl_runtime.rounding import Rounded

_TYPES = {"float16", "float32", "float64", "bool", "uint8", "int8", "int16", "int32", "int64"}


class GraphError(ValueError):
    """A graph that is not well formed, or has an operator that this version does not know."""


class Program:
    """A graph that is ready to run. It may run in several threads.

    Args:
        graph: "inputs", "nodes" and "outputs"; see `mtl.export.graph`.
        constants: Name to array, or to a weight in fewer bits.

    Raises:
        GraphError: A node has an unknown operator, the name of another value or an argument of an
            unknown kind, refers to a later node, or is a constant of unexpected size.
    """

    def __init__(self, graph: Mapping[str, Any], constants: Mapping[str, Any]) -> None:
        self.inputs: list[str] = list(graph["inputs"])
        slots = {name: number for number, name in enumerate(self.inputs)}
        known: dict[str, Any] = {}  # values that do not depend on inputs
        room = MOST + 2 * sum(array.size for array in constants.values())
        nodes: dict[str, tuple[Callable[..., Any], list[Any], dict[str, Any]]] = {}
        for name, operator, arguments, keywords in graph["nodes"]:
            if operator not in OPERATORS:
                raise GraphError(f"unknown operator {operator}; install a newer mtl-runtime")
            run: Callable[..., Any] = OPERATORS[operator]
            if name in slots or name in nodes or name in known or name in constants:
                raise GraphError(f"{name}: occurs twice")
            values = [_decoded(value) for value in arguments]
            options = {key: _decoded(value) for key, value in keywords.items()}
            for value in (*values, *options.values()):
                text = isinstance(value, str) and not isinstance(value, _Name)
                if text and value not in WORDS and operator != "aten.einsum.default":
                    raise GraphError(f"{name}: unknown argument {value[:40]!r}")
            used = set(_names([values, *options.values()]))
            for other in used:
                if other in constants and other not in known:
                    known[other] = constants[other]
                if other not in known and other not in slots and other not in nodes:
                    raise GraphError(f"{name}: unknown value {other}")
                looked_up = operator in LOOKUPS and other not in _names(values[1:])
                if isinstance(known.get(other), Rounded) and not looked_up:
                    known[other] = known[other].expanded()
            if used <= known.keys():
                found = [_filled(value, known) for value in values]
                if result_size(operator, found) > MOST:
                    raise GraphError(f"{name}: the constant is too large")
                made = run(*found, **{k: _filled(v, known) for k, v in options.items()})
                room -= getattr(made, "size", 0)
                if room < 0:
                    raise GraphError("the constants are too large")
                known[name] = made
                continue
            run, values = folded(operator, run, values, known, _Name)
            nodes[name] = run, values, options
        self._nodes, self._slots = nodes, slots
        self._outputs = {name: _decoded(value) for name, value in graph["outputs"].items()}
        for name, value in self._outputs.items():
            for other in _names(value):
                if other in constants:
                    known.setdefault(other, constants[other])
                if other not in known and other not in slots and other not in nodes:
                    raise GraphError(f"output {name}: unknown value {other}")
                if isinstance(known.get(other), Rounded):
                    known[other] = known[other].expanded()
        # Packed matrices replace the matrices that they were made of.
        read = [[values, *options.values()] for _, values, options in nodes.values()]
        used = {other for value in (*read, *self._outputs.values()) for other in _names(value)}
        self._known = {name: value for name, value in known.items() if name in used}
        self._plans: dict[tuple[str, ...], Callable[[Sequence[Any]], list[Any]]] = {}

    def run(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        """Return some outputs, computed from inputs by name."""
        wanted = tuple(outputs)
        plan = self._plans.get(wanted)
        if plan is None:
            plan = self._plans[wanted] = self._plan(wanted)
        return dict(zip(wanted, plan([inputs[name] for name in self.inputs]), strict=True))

    def _plan(self, wanted: Sequence[str]) -> Callable[[Sequence[Any]], list[Any]]:
        """Return a function that computes some outputs from all inputs in order."""
        needed: set[str] = set()
        waiting = [name for output in wanted for name in _names(self._outputs[output])]
        while waiting:
            name = waiting.pop()
            if name in self._nodes and name not in needed:
                needed.add(name)
                _, values, options = self._nodes[name]
                waiting.extend(_names([values, *options.values()]))
        slots = dict(self._slots)
        steps = []
        for name, (run, values, options) in self._nodes.items():
            if name in needed:
                maker = _maker(values, slots, self._known)
                kept = {k: _filled(v, self._known) for k, v in options.items()}
                slots[name] = len(slots)
                steps.append((run, maker, kept))
        ends = [_maker([self._outputs[name]], slots, self._known) for name in wanted]

        def plan(inputs: Sequence[Any]) -> list[Any]:
            found = list(inputs)
            for run, maker, options in steps:
                arguments = maker(found)
                found.append(run(*arguments, **options) if options else run(*arguments))
            return [end(found)[0] for end in ends]

        return plan


class _Name(str):
    """A reference to a value."""

    __slots__ = ()


def _decoded(value: Any) -> Any:
    """Return an argument with references as `_Name`."""
    if isinstance(value, list):
        return [_decoded(item) for item in value]
    if isinstance(value, dict):
        if "of" in value:
            return _Name(value["of"])
        if "float" in value:
            return float(value["float"])
        if value["dtype"] not in _TYPES:
            raise GraphError(f"unknown type {value['dtype']!r}")
        return np.dtype(value["dtype"])
    return value


def _names(value: Any) -> list[str]:
    if isinstance(value, _Name):
        return [value]
    if isinstance(value, list):
        return [name for item in value for name in _names(item)]
    return []


def _filled(value: Any, known: Mapping[str, Any]) -> Any:
    if isinstance(value, _Name):
        return known[value]
    if isinstance(value, list):
        return [_filled(item, known) for item in value]
    return value


def _maker(
    values: Sequence[Any], slots: Mapping[str, int], known: Mapping[str, Any]
) -> Callable[[Sequence[Any]], list[Any]]:
    """Return a function from all values so far to the arguments of a node."""
    fixed: list[Any] = []
    places: list[tuple[int, int]] = []
    nested: list[tuple[int, Callable[[Sequence[Any]], list[Any]]]] = []
    for position, value in enumerate(values):
        if isinstance(value, _Name) and value not in known:
            places.append((position, slots[value]))
            fixed.append(None)
        elif isinstance(value, list) and any(name not in known for name in _names(value)):
            nested.append((position, _maker(value, slots, known)))
            fixed.append(None)
        else:
            fixed.append(_filled(value, known))

    def make(found: Sequence[Any]) -> list[Any]:
        arguments = fixed.copy()
        for position, slot in places:
            arguments[position] = found[slot]
        for position, maker in nested:
            arguments[position] = maker(found)
        return arguments

    return make
