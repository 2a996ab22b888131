"""Conversion of exported programs to ONNX. Letters: B sentences, T tokens, D and H widths."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram

from mtl.errors import MtlError, not_installed

OPSET = 18


def onnx_bytes(
    program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], *, quantize: bool
) -> bytes:
    """Convert a program and return the content of an ONNX file.

    Args:
        program: The program.
        inputs: The names of its inputs, in order.
        outputs: The names of its outputs, in order.
        quantize: Whether to quantise weights to 8-bit integers (dynamic quantisation: activations
            are quantised per batch). The recurrent part of GRU and QRNN layers is not quantised.

    Raises:
        MtlError: A required package is not installed, or a part cannot be converted.
    """
    try:
        import onnx  # noqa: F401 - torch and the quantiser need it
        import onnxscript.optimizer
    except ImportError as error:
        raise _missing(error) from error
    with _quiet(), TemporaryDirectory() as folder:
        try:
            converted = torch.onnx.export(
                program,
                dynamo=True,
                input_names=inputs,
                output_names=outputs,
                opset_version=OPSET,
                optimize=False,
                verbose=False,
                custom_translation_table=_translations(),
            )
        except torch.onnx.errors.OnnxExporterError as error:
            reason = str(error.__cause__ or error).strip().splitlines()[0]
            raise MtlError(f"the model cannot be converted to ONNX: {reason}") from error
        assert converted is not None
        # No size limit: the reordering of gates in large matrices is computed now, not at run time.
        limit = 1 << 40
        for node in converted.model.graph:
            node.metadata_props.clear()  # source locations, which take as much space as the weights
        onnxscript.optimizer.optimize_ir(
            converted.model, input_size_limit=limit, output_size_limit=limit
        )
        path = Path(folder) / "model.onnx"
        converted.save(path)
        if quantize:
            _quantize(path)
        return path.read_bytes()


def _quantize(path: Path) -> None:
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic
    except ImportError as error:
        raise _missing(error) from error
    quantize_dynamic(path, path, per_channel=True, weight_type=QuantType.QInt8)


def _missing(error: ImportError) -> MtlError:
    return MtlError(not_installed("export to ONNX", "onnx", error))


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings of torch and the quantiser, about which a user can do nothing."""
    names = ["torch.onnx", "onnxscript", "onnx_ir", "root"]
    loggers = [logging.getLogger(None if name == "root" else name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return the ONNX translations of the operators of this library, by operator."""
    import onnx_ir
    import onnxscript

    op: Any = onnxscript.opset18

    def reordered(weight: Any, order: Sequence[int]) -> Any:
        """Reorder the gates in the rows of a matrix or bias; torch and ONNX order them differently.

        The result has a new first axis of size 1, the number of directions.
        """
        size = weight.shape[0] // len(order)
        rows = np.concatenate([np.arange(size) + size * gate for gate in order])
        return op.Unsqueeze(op.Gather(weight, op.Constant(value=onnx_ir.tensor(rows)), axis=0), [0])

    def run(
        layer: Any, gates: Sequence[int], x: Any, states: Any, weights: Any, **attributes: Any
    ) -> Any:
        matrix_ih, matrix_hh, *biases = (reordered(weight, gates) for weight in weights)
        steps = op.Transpose(x, perm=[1, 0, 2])  # ONNX layers expect time first
        bias = op.Concat(*biases, axis=1)
        size = weights[1].shape[1]
        inputs = (steps, matrix_ih, matrix_hh, bias, None, *states)
        outputs, *ends = layer(*inputs, hidden_size=size, **attributes)
        return op.Transpose(op.Squeeze(outputs, [1]), perm=[1, 0, 2]), *ends

    def lstm(x: Any, h: Any, c: Any, *weights: Any) -> Any:
        # torch: i, f, g, o; ONNX: i, o, f, c
        return run(op.LSTM, (0, 3, 1, 2), x, (h, c), weights)

    def gru(x: Any, h: Any, *weights: Any) -> Any:
        # torch: r, z, n; ONNX: z, r, h. torch applies the reset gate after the matrix product.
        return run(op.GRU, (1, 0, 2), x, (h,), weights, linear_before_reset=1)

    def pool(
        gates: Any,
        c0: Any,
        lengths: Any,
        keep: Any,
        count: int,
        reverse: bool,
        directions: int,
        _: bool,
    ) -> Any:
        assert keep is None
        parts = op.Split(gates, axis=2, num_outputs=count * directions)
        steps = op.Squeeze(op.Shape(gates, start=1, end=2), [0])
        real = op.Less(op.Range(0, steps, 1), op.Unsqueeze(lengths, [1]))
        real = op.Cast(
            op.Unsqueeze(op.Transpose(real, perm=[1, 0]), [2]), to=onnx_ir.DataType.FLOAT
        )
        starts: Any = [None] * directions
        if c0 is not None:
            starts = op.Split(c0, axis=1, num_outputs=directions) if directions > 1 else [c0]
        results = [
            _direction(op, parts[d * count : (d + 1) * count], real, reverse != (d == 1), starts[d])
            for d in range(directions)
        ]
        h, last = (op.Concat(*tensors, axis=-1) for tensors in zip(*results, strict=True))
        return h, last, last  # the third result, the states, is only used by gradients

    return {
        torch.ops.mtl.lstm.default: lstm,
        torch.ops.mtl.gru.default: gru,
        torch.ops.mtl.pool.default: pool,
    }


def _direction(
    op: Any, parts: Sequence[Any], real: Any, reverse: bool, start: Any
) -> tuple[Any, Any]:
    """Return the outputs of a pooling in one direction, `[B, T, H]`, and its last state, `[B, H]`.

    Args:
        op: The operators of ONNX.
        parts: Pre-activations `[B, T, H]` in the order z, f, and optionally o and i.
        real: `[T, B, 1]`, 1 on real tokens.
        reverse: Whether it reads from right to left.
        start: The state before the first token, `[B, H]`; None means zeros.
    """
    z, f, *optional = (op.Transpose(part, perm=[1, 0, 2]) for part in parts)
    forget = op.Sigmoid(f)
    share = op.Sub(op.CastLike(1.0, real), forget) if len(parts) < 4 else op.Sigmoid(optional[1])
    update = op.Mul(op.Mul(share, op.Tanh(z)), real)
    # On padding the forget gate is 1, so the state does not change.
    forget = op.Add(op.Mul(forget, real), op.Sub(op.CastLike(1.0, real), real))
    if start is None:
        start = op.CastLike(op.ConstantOfShape(op.Shape(z, start=1)), real)
    last, states = _scan([start, forget, update], reverse)
    h = op.Mul(op.Mul(states, op.Sigmoid(optional[0])) if optional else states, real)
    return op.Transpose(h, perm=[1, 0, 2]), last


def _scan(inputs: Sequence[Any], reverse: bool) -> tuple[Any, Any]:
    """Return the last state and all states of the recurrence c = f · c + u.

    Args:
        inputs: The initial state `[B, H]`, and f and u `[T, B, H]`.
        reverse: Whether to run from the last step to the first.
    """
    import onnx_ir as ir
    from onnxscript import evaluator

    state, forget, update = (
        ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT))
        for name in ("state", "forget", "update")
    )
    kept = ir.node("Mul", [forget, state])
    new = ir.node("Add", [kept.outputs[0], update])
    # A body needs separate outputs for the carried state and the collected states.
    collected = ir.node("Identity", new.outputs)
    for node, name in ((kept, "kept"), (new, "new"), (collected, "collected")):
        node.outputs[0].name = name
    outputs = [new.outputs[0], collected.outputs[0]]
    directions = {"scan_input_directions": [reverse] * 2, "scan_output_directions": [reverse]}
    scan = ir.node(
        "Scan",
        inputs,
        {
            "body": ir.Graph(
                [state, forget, update], outputs, nodes=[kept, new, collected], name="step"
            ),
            "num_scan_inputs": 2,
            **{name: [int(flag) for flag in flags] for name, flags in directions.items()},
        },
        num_outputs=2,
        version=OPSET,
    )
    recorder: Any = evaluator.default()
    recorder.nodes.append(scan)  # op.Scan cannot infer the number of outputs
    last, states = scan.outputs
    return last, states
