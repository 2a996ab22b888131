"""The subcommands of `mtl`."""

from __future__ import annotations

from typing import Annotated

import typer

from mtl.cli.audit import audit
from mtl.cli.calibrate import calibrate
from mtl.cli.check import check
from mtl.cli.correct import correct
from mtl.cli.distil import distil
from mtl.cli.ensemble import ensemble
from mtl.cli.evaluate import evaluate
from mtl.cli.explain import explain
from mtl.cli.export import export
from mtl.cli.extend import extend
from mtl.cli.generate import generate
from mtl.cli.listing import list_parts
from mtl.cli.lr import lr
from mtl.cli.new import new
from mtl.cli.predict import predict
from mtl.cli.relate import relate
from mtl.cli.report import report
from mtl.cli.schema import schema
from mtl.cli.serve import serve
from mtl.cli.suggest import suggest
from mtl.cli.train import train
from mtl.cli.tune import tune
from mtl.cli.vectors import vectors
from mtl.version import __version__

app = typer.Typer(
    name="mtl",
    help="Train one small, fast model on many NLP tasks, and use it.",
    epilog="Example: mtl new phones.csv; mtl train phones. More: mtl COMMAND --help.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command(epilog="Example: mtl new train.conll dev.conll --name names")(new)
app.command(epilog="Example: mtl train phones.yaml training.epochs=3 seed=2")(train)
app.command(epilog="Example: mtl distil runs/large runs/other small.yaml --text news.txt.gz")(
    distil
)
app.command(epilog="Example: mtl extend runs/phones new.yaml --text news.txt")(extend)
app.command(
    epilog="Example: mtl tune phones.yaml training.optimizer.lr='{search: [1e-4, 1e-2], log: true}'"
)(tune)
app.command(epilog="Example: mtl lr phones.yaml --steps 200 --html rates.html")(lr)
app.command(epilog="Example: mtl check phones.yaml")(check)
app.command(epilog="Example: mtl evaluate runs/phones --split dev --task tone")(evaluate)
app.command(epilog="Example: mtl calibrate runs/phones")(calibrate)
app.command(epilog="Example: mtl ensemble runs/lstm runs/qrnn --output runs/both")(ensemble)
app.command(epilog='Example: echo "My battery is weak." | mtl predict runs/phones')(predict)
app.command(epilog="Example: mtl serve runs/phones --port 8080")(serve)
app.command(epilog='Example: mtl generate wikitext2 --prompt "The city of" --top-p 0.9')(generate)
app.command(epilog="Example: mtl export runs/tagger --to onnx --output tagger.onnx")(export)
app.command(epilog="Example: mtl report runs/hard runs/none --test runs/hard runs/none")(report)
app.command(epilog="Example: mtl relate phones.yaml --epochs 3 --limit 500 --seeds 3")(relate)
app.command(epilog="Example: mtl audit phones.yaml --folds 5 --html audit.html")(audit)
app.command(epilog="Example: mtl correct phones.yaml accepted.jsonl --output corrected")(correct)
app.command(epilog="Example: mtl suggest runs/phones new.txt --number 50 --output to-label")(
    suggest
)
app.add_typer(vectors, name="vectors")
app.command("list", epilog="Example: mtl list heads")(list_parts)
app.command(epilog="Example: mtl explain training.patience")(explain)
app.command(epilog="Example: mtl schema > run.schema.json")(schema)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mtl {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Train one small, fast model on many NLP tasks, and use it."""
