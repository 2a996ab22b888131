"""`mtl generate`."""

from __future__ import annotations

import sys
from itertools import chain
from typing import Annotated

import typer

from mtl.cli.arguments import DeviceOption, RunFolderArgument, TrustOption, finite, refuse_beside


def generate(
    context: typer.Context,
    folder: RunFolderArgument,
    prompt: Annotated[str, typer.Option(help="The text to continue.")] = "",
    task: Annotated[
        str | None, typer.Option(help="The task of the language model, if there are several.")
    ] = None,
    length: Annotated[int, typer.Option(min=1, help="The maximum number of words.")] = 50,
    temperature: Annotated[
        float,
        typer.Option(callback=finite, min=1e-3, help="Values below 1 make likely words likelier."),
    ] = 1.0,
    top_k: Annotated[
        int | None, typer.Option(min=1, help="Sample from the K most likely words.")
    ] = None,
    top_p: Annotated[
        float,
        typer.Option(
            callback=finite,
            min=1e-9,
            max=1,
            help="Sample from the most likely words with this total probability.",
        ),
    ] = 1.0,
    seed: Annotated[
        int, typer.Option(min=0, max=2**63 - 1, help="The same seed gives the same words.")
    ] = 1,
    beam: Annotated[
        int | None,
        typer.Option(
            min=1, max=1000, help="Search for a probable text with this many, without sampling."
        ),
    ] = None,
    device: DeviceOption = None,
    trust: TrustOption = False,
) -> None:
    """Generate text with a language model.

    Each word is printed as soon as it is sampled; with --beam, the text is printed at the end. Each
    sentence is on its own line.
    """
    if beam:
        refuse_beside(context, ["temperature", "top_k", "top_p", "seed"], "beam")
    from mtl.inference.generator import Beam, Sampling
    from mtl.text.running import spelt
    from mtl.trained_model import load

    model = load(folder, device=device, trust=trust)
    sampling = Beam(beam) if beam else Sampling(temperature, top_k, top_p)
    words = model.generate(prompt, task=task, length=length, sampling=sampling, seed=seed)
    last = "\n"
    for text in spelt(chain(model.prompt_words(prompt, task), words)):
        sys.stdout.write(text)
        sys.stdout.flush()
        last = text or last
    if last != "\n":
        sys.stdout.write("\n")
