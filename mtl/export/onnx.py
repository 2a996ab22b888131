"""Exported programs as ONNX files. Letters: B sentences, T tokens, D and H widths."""

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

from mtl.errors import MtlError

OPSET = 18


def onnx_bytes(
    program: ExportedProgram, inputs: Sequence[str], outputs: Sequence[str], *, quantize: bool
) -> bytes:
    """Return a program as the content of an ONNX file.

    Args:
        program: The program.
        inputs: The names of what it reads, in order.
        outputs: The names of what it gives, in order.
        quantize: Whether weights become 8-bit integers, by which activations, rounded anew for each
            batch, are multiplied. GRU and QRNN layers keep their recurrent part.

    Raises:
        MtlError: The packages that it takes are not installed, or a part cannot be converted.
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
            raise MtlError(f"the model cannot be written as ONNX: {reason}") from error
        assert converted is not None
        # The matrices of recurrent layers too are put into order now, however large.
        limit = 1 << 40
        for node in converted.model.graph:
            node.metadata_props.clear()  # where in the code it comes from: as much as the weights
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
    names = "onnx onnxruntime onnxscript"
    return MtlError(f"ONNX files need further packages ({error}): pip install {names}")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep from the user what torch and the quantiser say of themselves."""
    names = ["torch.onnx", "onnxscript", "onnx_ir", "root"]
    loggers = [logging.getLogger(None if name == "root" else name) for name in names]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """Return what stands in ONNX for the operators of this library."""
    import onnx_ir
    import onnxscript

    op: Any = onnxscript.opset18

    def ordered(weight: Any, order: Sequence[int]) -> Any:
        """Put the gates of a matrix or bias, which follow each other in its rows, in order."""
        size = weight.shape[0] // len(order)
        rows = np.concatenate([np.arange(size) + size * gate for gate in order])
        return op.Unsqueeze(op.Gather(weight, op.Constant(value=onnx_ir.tensor(rows)), axis=0), [0])

    def run(
        layer: Any, gates: Sequence[int], x: Any, states: Any, weights: Any, **more: Any
    ) -> Any:
        matrix_ih, matrix_hh, *biases = (ordered(weight, gates) for weight in weights)
        steps = op.Transpose(x, perm=[1, 0, 2])
        bias = op.Concat(*biases, axis=1)
        size = weights[1].shape[1]
        given = (steps, matrix_ih, matrix_hh, bias, None, *states)
        outputs, *ends = layer(*given, hidden_size=size, **more)
        return op.Transpose(op.Squeeze(outputs, [1]), perm=[1, 0, 2]), *ends

    def lstm(x: Any, h: Any, c: Any, *weights: Any) -> Any:
        return run(op.LSTM, (0, 3, 1, 2), x, (h, c), weights)

    def gru(x: Any, h: Any, *weights: Any) -> Any:
        return run(op.GRU, (1, 0, 2), x, (h,), weights, linear_before_reset=1)

    def pool(
        gates: Any, c0: Any, lengths: Any, keep: Any, count: int, reverse: bool, ways: int, _: bool
    ) -> Any:
        assert c0 is None
        assert keep is None
        parts = op.Split(gates, axis=2, num_outputs=count * ways)
        steps = op.Squeeze(op.Shape(gates, start=1, end=2), [0])
        real = op.Less(op.Range(0, steps, 1), op.Unsqueeze(lengths, [1]))
        real = op.Cast(
            op.Unsqueeze(op.Transpose(real, perm=[1, 0]), [2]), to=onnx_ir.DataType.FLOAT
        )
        found = [
            _direction(op, parts[way * count : (way + 1) * count], real, reverse != (way == 1))
            for way in range(ways)
        ]
        h, last = (op.Concat(*own, axis=-1) for own in zip(*found, strict=True))
        return h, last, last  # the states are for gradients

    return {
        torch.ops.mtl.lstm.default: lstm,
        torch.ops.mtl.gru.default: gru,
        torch.ops.mtl.pool.default: pool,
    }


def _direction(op: Any, parts: Sequence[Any], real: Any, reverse: bool) -> tuple[Any, Any]:
    """Return the outputs of a pooling in one direction, `[B, T, H]`, and its last state, `[B, H]`.

    Args:
        op: The operators of ONNX.
        parts: Pre-activations `[B, T, H]` of z, f and, if there are, of o and i.
        real: `[T, B, 1]`, 1 on real tokens.
        reverse: Whether it reads from right to left.
    """
    z, f, *rest = (op.Transpose(part, perm=[1, 0, 2]) for part in parts)
    forget = op.Sigmoid(f)
    keep = op.Sub(op.CastLike(1.0, real), forget) if len(parts) < 4 else op.Sigmoid(rest[1])
    update = op.Mul(op.Mul(keep, op.Tanh(z)), real)
    # Past the end of a sentence the state stays as it is.
    forget = op.Add(op.Mul(forget, real), op.Sub(op.CastLike(1.0, real), real))
    zeros = op.CastLike(op.ConstantOfShape(op.Shape(z, start=1)), real)
    last, states = _scan([zeros, forget, update], reverse)
    h = op.Mul(op.Mul(states, op.Sigmoid(rest[0])) if rest else states, real)
    return op.Transpose(h, perm=[1, 0, 2]), last


def _scan(inputs: Sequence[Any], reverse: bool) -> tuple[Any, Any]:
    """Return the last state and all states of c = f · c + u.

    Args:
        inputs: The state before the first step `[B, H]`, f and u `[T, B, H]`.
        reverse: Whether the last step is the first.
    """
    import onnx_ir as ir
    from onnxscript import evaluator

    state, forget, update = (
        ir.Value(name=name, type=ir.TensorType(ir.DataType.FLOAT))
        for name in ("state", "forget", "update")
    )
    kept = ir.node("Mul", [forget, state])
    new = ir.node("Add", [kept.outputs[0], update])
    given = ir.node("Identity", new.outputs)
    for node, name in ((kept, "kept"), (new, "new"), (given, "given")):
        node.outputs[0].name = name
    outputs = [new.outputs[0], given.outputs[0]]
    directions = {"scan_input_directions": [reverse] * 2, "scan_output_directions": [reverse]}
    scan = ir.node(
        "Scan",
        inputs,
        {
            "body": ir.Graph(
                [state, forget, update], outputs, nodes=[kept, new, given], name="step"
            ),
            "num_scan_inputs": 2,
            **{name: [int(way) for way in ways] for name, ways in directions.items()},
        },
        num_outputs=2,
        version=OPSET,
    )
    recorder: Any = evaluator.default()
    recorder.nodes.append(scan)  # as op.Scan would, which cannot tell how many outputs there are
    last, states = scan.outputs
    return last, states
