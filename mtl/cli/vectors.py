"""`mtl vectors`: word vectors from a transformer or from text, their scores, and maps of them."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperGroup

from mtl.cli.vectors_evaluate import evaluate_vectors
from mtl.cli.vectors_map import map_languages
from mtl.cli.vectors_static import static
from mtl.cli.vectors_train import methods, train_words


class VectorsGroup(TyperGroup):
    """The commands; without the name of one, `static` is meant: `mtl vectors bert-base-cased`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the name of the default command before arguments that begin with no command."""
        if args and args[0] not in self.commands and "--help" not in args:
            args = ["static", *args]
        return super().parse_args(ctx, args)


vectors = typer.Typer(
    cls=VectorsGroup,
    help="Learn, compute, evaluate and map word vectors.\n\n"
    "Runs read vectors from the file that the key embedding.words.vectors names. mtl vectors "
    "TEACHER … is short for mtl vectors static TEACHER …, which computes vectors from a "
    "transformer.",
    epilog="Example: mtl vectors train --text wiki.txt --output v.safetensors. More: mtl vectors "
    "COMMAND --help.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
vectors.command(
    epilog="Example: mtl vectors static bert-base-cased --run trec --dim 200 --output v.safetensors"
)(static)
vectors.command(
    "train",
    epilog="Example: mtl vectors train window=3 epochs=10 --text wiki.txt --dim 100 --output "
    "sgns.safetensors",
)(train_words)
vectors.command(epilog="Example: mtl vectors methods svd")(methods)
vectors.command(
    "evaluate",
    epilog="Example: mtl vectors evaluate v.safetensors --pairs wordsim353.tsv --analogies "
    "questions-words.txt",
)(evaluate_vectors)
vectors.command(
    "map",
    epilog="Example: mtl vectors map de.vec en.vec --dictionary de-en.txt --output de.safetensors",
)(map_languages)
