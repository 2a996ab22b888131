"""Ensembles of trained models."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from rich.console import Console

from mtl.display.console import notes_console, tell
from mtl.display.reading import show_import, show_reading
from mtl.display.training import scoring_bar
from mtl.errors import MtlError
from mtl.experiment import Experiment, load_corpora
from mtl.experiment.corpora import with_data
from mtl.experiment.ensemble import JointExperiment, join
from mtl.experiment.experiment import score_labels
from mtl.files import find_shipped, new_folder
from mtl.metrics.spread import Scores
from mtl.runs.calibration import CALIBRATION
from mtl.runs.checkpoint import MODEL, save_tensors, weights_of
from mtl.runs.ensemble import copy_description, member_folder, sources, write_ensemble
from mtl.trained_model import TrainedModel, load, load_model


def ensemble(
    runs: Sequence[str | PathLike[str]],
    *,
    output: str | PathLike[str],
    tasks: Sequence[str] | None = None,
    device: str | None = None,
    trust: bool = False,
    progress: bool | None = None,
) -> TrainedModel:
    """Make an ensemble of trained models, and write it to a folder.

    The folder contains a copy of the run file, the vocabularies and the weights of each member;
    `load` reads it. If the data of the runs is available, the dev scores of the members and of the
    ensemble are computed.

    >>> model = mtl.ensemble(["runs/a", "runs/b"], output="runs/both")  # doctest: +SKIP

    Args:
        runs: Run folders. All seeds or snapshots of a folder, and all members of an ensemble,
            become members.
        output: The folder to write.
        tasks: The tasks of the ensemble; None: all tasks of the members, except language models.
        device: "cpu", "cuda", …; None: a GPU if available.
        trust: As for `load`.
        progress: Whether to show notes and a progress bar on standard error. None: show notes, but
            the bar only on a terminal. False: show nothing.

    Returns:
        The ensemble. Its `members` are the single models.

    Raises:
        MtlError: There are fewer than two models; they cannot predict a task together; or the
            folder exists or cannot be written.
    """
    if isinstance(runs, (str, PathLike)):
        raise MtlError(f"runs: expected a list of run folders, got {str(runs)!r}")
    folder, console = Path(output), notes_console(progress)
    on_import = show_import if trust else None
    with new_folder(folder) as place:
        found = [s for run in runs for s in sources(find_shipped(Path(run), "pretrained"))]
        if len(found) < 2:
            raise MtlError(
                f"an ensemble needs at least two models, got {len(found)}; name several runs, or "
                "a run with several seeds or snapshots"
            )
        names = [source.name for source in found]
        models = [load_model(own.folder, device, on_import, own.weights) for own in found]
        joint = join([model.experiment for model in models], names, tasks)
        for note in joint.notes:
            tell(console, f"note: {note}")
        if any((own.folder / CALIBRATION).is_file() for own in found):
            tell(
                console,
                "note: the members predict without their temperatures; fit temperatures of the "
                f"ensemble with: mtl calibrate {folder}",
            )
        own, dev = _dev_scores(joint, [model.experiment for model in models], console)
        for number, (source, model) in enumerate(zip(found, models, strict=True), 1):
            copy_description(source.folder, member_folder(place, number))
            # The weights that were scored, even if the run is still being trained.
            weights = weights_of(model.experiment.model)
            save_tensors(member_folder(place, number) / MODEL, weights)
        write_ensemble(place, list(joint.run.tasks), list(zip(names, own, strict=True)), dev)
    return load(folder, device=device, trust=trust)


def _dev_scores(
    joint: JointExperiment, members: Sequence[Experiment], console: Console
) -> tuple[Sequence[Scores], Scores]:
    """Return the dev scores of the members of an ensemble and of itself, on the same data.

    All are empty if the data cannot be read; a note says why.
    """
    run, _ = with_data(joint.run, "dev", {}, list(joint.run.tasks))
    try:
        corpora = load_corpora(run, progress=None if console.quiet else show_reading).values()
    except MtlError as error:
        tell(console, f"note: there are no dev scores: {error}")
        return [{} for _ in members], {}
    with scoring_bar(console) as bar:
        work, scores = bar.add_task("scoring", total=2 * len(members)), []
        for member in members:
            own = [task for task in run.tasks if task in member.run.tasks]
            scores.append(score_labels(run, member.predictor, corpora, "dev", own).scores())
            bar.advance(work)
        dev = score_labels(run, joint.predictor, corpora, "dev", run.tasks).scores()
        bar.advance(work, len(members))
    if not dev:
        tell(console, "note: there are no dev scores: no corpus has a dev set")
    return scores, dev
