"""`mtl serve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mtl.cli.arguments import DeviceOption, TrustOption, finite
from mtl.errors import MtlError
from mtl.serving.limits import Limits
from mtl.serving.settings import ServerSettings


def serve(
    model: Annotated[
        Path, typer.Argument(metavar="DIR", help="The run folder, or a bundle (model.mtl).")
    ],
    host: Annotated[
        str, typer.Option(help="The address to listen at; 0.0.0.0: all addresses of the machine.")
    ] = ServerSettings.host,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port; 0: a free port, which is printed.")
    ] = ServerSettings.port,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of processes, each with the model.")
    ] = ServerSettings.workers,
    max_body: Annotated[
        int, typer.Option(min=1, metavar="BYTES", help="Largest size of a request.")
    ] = Limits.body,
    max_texts: Annotated[
        int, typer.Option(min=1, help="Largest number of texts per request.")
    ] = Limits.texts,
    max_characters: Annotated[
        int, typer.Option(min=1, help="Largest number of characters per text.")
    ] = Limits.characters,
    max_queue: Annotated[
        int,
        typer.Option(
            min=1,
            help="Largest number of requests that wait for the model; others get status 429.",
        ),
    ] = Limits.queue,
    max_open: Annotated[
        int,
        typer.Option(
            min=1,
            help="Largest number of requests that the server reads or answers at the same time; "
            "others get status 503.",
        ),
    ] = Limits.open,
    max_seconds: Annotated[
        float,
        typer.Option(
            callback=finite,
            min=0.001,
            help="Most seconds for reading a request, and also for answering it.",
        ),
    ] = Limits.seconds,
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Serve a model over HTTP.

    POST /predict labels texts: {"texts": ["Ann left Rome."], "confidence": true}. The predictions
    are the records of mtl predict --format jsonl. GET / is a page to try the model, /health the
    state of the server, /metrics counts for Prometheus, and /openapi.json a description of all
    requests and answers.

    The limits are per process. Ctrl-C and SIGTERM end the server after it has answered all requests
    that it has received.
    """
    from mtl.serving.server import serve as run

    if model.is_file() and (device not in (None, "cpu") or trust):
        option = "--trust" if trust else "--device"
        raise MtlError(f"{option} needs a run folder, and {model} is a bundle; leave it out")
    settings = ServerSettings(
        model,
        device,
        trust,
        host,
        port,
        workers,
        Limits(max_body, max_texts, max_characters, max_queue, max_open, max_seconds),
    )

    def started(address: str) -> None:
        print(f"serving {model} at {address}; stop with Ctrl-C", flush=True)

    run(settings, started)
    print("stopped", file=sys.stderr)
