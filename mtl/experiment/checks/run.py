"""Checks of a run without its data, made before files are read or a model is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn

from mtl.config.parts import Part
from mtl.config.run import FineTuning, Run
from mtl.data.mixing import MIXING
from mtl.errors import did_you_mean
from mtl.experiment.build import head_owner, head_owners, head_part, target_of
from mtl.experiment.checks import distillation, goals, options, sampling
from mtl.experiment.context import scored_tasks
from mtl.experiment.corpora import reads_pairs
from mtl.experiment.kinds import KINDS, build
from mtl.experiment.loaders import batch_limits
from mtl.experiment.pretrained import reads_subwords
from mtl.heads import HEADS, Classifier
from mtl.metrics import METRICS
from mtl.sharing import SHARING
from mtl.targets import NextWordTarget, Target
from mtl.training.optimizers import decays
from mtl.training.processes import current
from mtl.training.selection import LOSS
from mtl.trunks import TRUNKS
from mtl.weighting import WEIGHTING

Mistake = tuple[str, str]
"""The dotted path of a key, and the error."""


def mistakes(run: Run, *, idle: bool = True) -> Iterator[Mistake]:
    """Yield the errors of a run that do not depend on its data.

    All errors are yielded, so that a user can correct them at once.

    Args:
        run: The run.
        idle: Whether options without effect are errors.
    """
    if run.seed + run.seeds > 2**63:
        yield "seeds", f"expected seeds below 2^63, the last one is {run.seed + run.seeds - 1}"
    yield from _names(run)
    yield from _input(run)
    yield from _texts(run)
    yield from _heads(run)
    yield from _forms(run)
    yield from options.mistakes(run, idle=idle)
    yield from distillation.mistakes(run, idle=idle)
    yield from _metric(run)
    yield from _unscored(run)
    yield from goals.mistakes(run, set(scored_tasks(run)) - adversaries(run))
    yield from _weighting(run)
    yield from sampling.mistakes(run)
    if idle and not any(task.weight for task in run.tasks.values()):
        yield "tasks", "all tasks have the weight 0, so there is nothing to learn"
    yield from _sharing(run)
    yield from _consolidation(run)
    yield from _professor(run)
    if idle:
        yield from _idle_training(run)


def _consolidation(run: Run) -> Iterator[Mistake]:
    """Check that there are old weights to hold, and tasks that need them."""
    if run.training.ewc is None:
        return
    if not TRUNKS.find(run.trunk.type).starts_heads(run.trunk.options):
        yield (
            "training.ewc",
            "holds weights near the weights of another run; set trunk.init to its folder, and "
            "trunk.init_heads",
        )
    if _frozen(run):
        yield (
            "training.ewc",
            "embedding and trunk are frozen, so that no weight can move; leave it out",
        )


def _professor(run: Run) -> Iterator[Mistake]:
    """Check that a model of running text can draw words, and that its states can change."""
    if run.training.professor_forcing is None:
        return
    next_word = [own.corpus for own in run.tasks.values() if own.source.text == "next"]
    if all(batch_limits(run, corpus).streams is None for corpus in next_word):
        yield (
            "training.professor_forcing",
            "is for tasks that predict the next word of text in streams, and there are none; "
            "leave it out, or set `batch: {streams: 20}`",
        )
    if _frozen(run):
        yield (
            "training.professor_forcing",
            "embedding and trunk are frozen, so that no hidden state can change; leave it out",
        )


def _frozen(run: Run) -> bool:
    """Return whether all weights below the heads are frozen."""
    return {"embedding", "trunk"} <= set((run.training.fine_tuning or FineTuning()).frozen)


def _names(run: Run) -> Iterator[Mistake]:
    # The model stores its heads in a ModuleDict, where the names of its attributes are not allowed.
    table = nn.ModuleDict()
    for task in run.tasks:
        if hasattr(table, task):
            yield (
                f"tasks.{task}",
                f"torch reserves the name {task!r}; choose another one, such as {task}_label",
            )


def _input(run: Run) -> Iterator[Mistake]:
    """Check the embedding and the length of windows against the input of the trunk."""
    if not reads_subwords(run) and not run.embedding:
        yield "embedding", "expected at least one of its slots, such as words: {}"
    # Pretrained positions end at a fixed length; longer windows would fail during training.
    limit = TRUNKS.find(run.trunk.type).max_tokens(run.trunk.options)
    if limit and run.training.max_length > limit:
        yield (
            "training.max_length",
            f"the trunk reads at most {limit} words, got {run.training.max_length}",
        )


def _texts(run: Run) -> Iterator[Mistake]:
    """Check language models; other tasks must not use their head, metric or batches."""
    sizes = {corpus: batch_limits(run, corpus) for corpus in run.corpora}
    for name, task in run.tasks.items():
        head = HEADS.find(head_part(run, head_owner(run, name)).type)
        target = target_of(run, name)
        limits = sizes[task.corpus]
        if not target.open_vocabulary:
            if head.accepts(NextWordTarget):
                yield f"tasks.{name}.head", "'lm' is for tasks with `labels: {text: next}`"
            if METRICS.find(task.metric.type).reads == NextWordTarget.values:
                yield (
                    f"tasks.{name}.metric",
                    f"{task.metric.type!r} is for language models; the task has labels of its own",
                )
            if limits.streams is not None:
                yield f"tasks.{name}", "streams are for language models; give the task a `batch`"
            continue
        if task.where:
            yield f"tasks.{name}.where", "a language model learns from the whole text"
        if not head.accepts(target):
            yield f"tasks.{name}.head", "the labels are words of the text; use the head 'lm'"
        if "words" not in run.embedding:
            yield "embedding", f"task {name!r} needs the slot 'words', whose words it predicts"
        if METRICS.find(task.metric.type).reads != target.values:
            yield (
                f"tasks.{name}.metric",
                "a language model is measured by 'perplexity' or 'word_top_k'",
            )


def _heads(run: Run) -> Iterator[Mistake]:
    for task, owner in head_owners(run).items():
        head, path = head_part(run, owner), f"tasks.{task}.head"
        head_scheme = HEADS.find(head.type).tag_scheme(head.options)
        # A shared head writes tags in the scheme of the task that it belongs to.
        scheme = head_scheme or run.tasks[owner].scheme
        if HEADS.find(head.type).level == "sentence":
            if run.tasks[task].scheme:
                yield (
                    path,
                    f"{head.type!r} predicts one label per sentence, the labels are span tags",
                )
        elif scheme and not run.tasks[task].scheme:
            if task != owner:  # for the task that owns the head, the head checks it
                yield (
                    path,
                    f"the head writes {scheme} tags, but the labels of {task!r} are not spans; "
                    "give the task its own head, or set the `scheme` in the corpus file",
                )
        elif run.tasks[task].scheme and not scheme:
            yield (
                path,
                f"the labels of {task!r} are spans, the labels of {owner!r} are not; give the task "
                "its own head",
            )
        elif scheme != run.tasks[task].scheme and not target_of(run, task).plain_labels:
            yield (
                path,
                f"{target_of(run, task).noun} are not converted from {run.tasks[task].scheme} to "
                f"{scheme} tags; leave the scheme of the head out, or give the task its own head",
            )
        if task != owner and run.tasks[task].lr is not None:
            yield f"tasks.{task}.lr", f"the head belongs to {owner!r}; set the lr there"


def _forms(run: Run) -> Iterator[Mistake]:
    """Check that the head and the metric of each task accept the form of its labels."""
    for task, owner in head_owners(run).items():
        target, part = target_of(run, task), head_part(run, owner)
        head = HEADS.find(part.type)
        # Plain labels and language models have other checks, with more specific messages.
        if not (head.accepts(target) or target.plain_labels or target.open_vocabulary):
            yield f"tasks.{task}.head", f"the labels are {target.noun}; {_heads_for(target)}"
        pairs, compares = reads_pairs(run, task), issubclass(head, Classifier) and head.pairs
        if pairs and not compares:
            yield f"tasks.{task}.head", "sentences come in pairs; use a classifier, such as pool"
        if pairs != reads_pairs(run, owner):
            yield (
                f"tasks.{task}.head",
                f"pairs and single sentences cannot share a head, as with {owner!r}",
            )
        if target is not (shared := target_of(run, owner)):
            yield (
                f"tasks.{task}.head",
                f"the labels are {target.noun}, the labels of {owner!r} are {shared.noun}; give "
                "the task its own head",
            )
        # Metrics of language models are checked in `_texts`.
        metric = run.tasks[task].metric.type
        if METRICS.find(metric).reads not in (target.values, NextWordTarget.values):
            able = (name for name, cls in METRICS.items() if cls.reads == target.values)
            yield (
                f"tasks.{task}.metric",
                f"{metric!r} is not for {target.noun}; use one of: {', '.join(sorted(able))}",
            )
        elif METRICS.find(metric).level not in (None, target.level):
            yield (
                f"tasks.{task}.metric",
                f"{metric!r} compares labels of {METRICS.find(metric).level}s, the task has one "
                f"value per {target.level}; use 'accuracy'",
            )


def _heads_for(target: type[Target]) -> str:
    """Return the part of an error message that names the heads which accept a target."""
    able = (name for name, cls in HEADS.items() if cls.accepts(target) and not cls.adversarial)
    return f"use one of: {', '.join(sorted(able))}"


def _sharing(run: Run) -> Iterator[Mistake]:
    """Check the number of tasks, and that loaded weights have a trunk to be copied into."""
    name, trunk = run.sharing.type, TRUNKS.find(run.trunk.type)
    if not trunk.layered:
        tuning = run.training.fine_tuning
        if tuning and "trunk" in tuning.frozen:
            yield "training.fine_tuning", "the run has no trunk to freeze"
        if not SHARING.find(name).without_trunk:
            yield "sharing", f"{name!r} shares the layers of a trunk, and the run has no trunk"
        for task, owner in head_owners(run).items():
            head = HEADS.find(head_part(run, owner).type)
            if head.level == "token" and run.tasks[task].layer != 0:
                yield (
                    "trunk",
                    f"missing: the tagger of {task!r} needs a trunk to see the context of a word, "
                    "such as `trunk: lstm`; with `layer: 0` it reads each word alone",
                )
    if len(run.tasks) < SHARING.find(name).min_tasks:
        yield "sharing", f"{name!r} cannot share with a single task; choose 'hard'"
    if SHARING.find(name).needs_shared_head and len({*head_owners(run).values()}) == len(run.tasks):
        yield (
            "sharing",
            f"{name!r} is for tasks that share a head, and each task has a head of its own; give "
            "one of them `head: TASK`, the name of another task, or choose 'hard'",
        )
    if not SHARING.find(name).has_trunks:
        message = f"the sharing {name!r} has no trunks with their own weights; choose another one"
        for option in trunk.loading_options(run.trunk.options):
            yield f"trunk.{option}", message
        if run.training.fine_tuning:
            yield "training.fine_tuning", message


def adversaries(run: Run) -> set[str]:
    """Return the tasks with adversarial heads, whose labels the trunk learns to hide."""
    owners = head_owners(run)
    return {name for name in run.tasks if HEADS.find(head_part(run, owners[name]).type).adversarial}


def _metric(run: Run) -> Iterator[Mistake]:
    task, _, score = run.training.metric.partition(".")
    scored = scored_tasks(run)
    # The score of an adversary should be low, so it does not count towards the mean.
    hidden = adversaries(run)
    averaged = [name for name in scored if name not in hidden]
    directions = {METRICS.find(run.tasks[t].metric.type).higher_is_better for t in averaged}
    if task != "mean":
        # A metric without data has the names of all its scores.
        scores = build("metric", run.tasks[task].metric).compute()
        if task not in scored:
            yield "training.metric", f"the corpus of {task!r} has no dev split"
        elif score == LOSS and LOSS not in scores:
            if target_of(run, task).open_vocabulary:
                yield (
                    "training.metric",
                    f"the loss of {task!r} is the logarithm of its perplexity; name that score",
                )
        elif score not in scores:
            known = [*scores] if target_of(run, task).open_vocabulary else [*scores, LOSS]
            near = did_you_mean(score, known)
            yield "training.metric", f"task {task!r} has no score {score!r}{near}"
    elif scored and not averaged:
        yield (
            "training.metric",
            "only adversarial tasks have a dev split; name the score to select by, as TASK.SCORE",
        )
    elif len(directions) > 1:
        yield (
            "training.metric",
            "the mean is undefined: some metrics are better when higher, some when lower; name one "
            "score, as TASK.SCORE",
        )


def needing_scores(run: Run) -> dict[str, Part]:
    """Return the parts of a run that follow scores on a development set, by key of `training`."""
    training = run.training
    parts = {"schedule": training.schedule, "average": training.average, "mixing": training.mixing}
    return {
        kind: part
        for kind, part in parts.items()
        if part and KINDS[kind].find(part.type).needs_scores
    }


def _idle_training(run: Run) -> Iterator[Mistake]:
    """Yield errors for options of training without effect."""
    training, tuning = run.training, run.training.fine_tuning
    if not training.decay_biases and not decays(training.optimizer.options):
        yield (
            "training.decay_biases",
            "has no effect without weight decay; leave it out, or set weight_decay of the "
            "optimizer",
        )
    norm, value = training.clip_norm, training.clip_value
    if norm is not None and value is not None and value >= norm:
        yield (
            "training.clip_value",
            f"has no effect unless it is below clip_norm ({norm:g}), which bounds every gradient; "
            "lower it, or set clip_norm to null",
        )
    if training.loss_unit != "token" and all(
        target_of(run, name).level == "sentence" for name in run.tasks
    ):
        yield (
            "training.loss_unit",
            "has no effect on labels of sentences, and no task has labels of tokens; leave it out",
        )
    if not training.label_prior and all(own.source.text for own in run.tasks.values()):
        yield (
            "training.label_prior",
            "has no effect on language models, and the run has no other tasks; leave it out",
        )
    own_rates = all(run.tasks[owner].lr is not None for owner in head_owners(run).values())
    if tuning and tuning.head_lr and own_rates and not (reads_subwords(run) and run.embedding):
        yield "training.fine_tuning.head_lr", "every head has its own `lr`; leave this out"


def _unscored(run: Run) -> Iterator[Mistake]:
    if not scored_tasks(run):
        for kind, part in needing_scores(run).items():
            yield (
                f"training.{kind}",
                f"{part.type!r} follows the scores on a dev split, and no corpus has one; add one "
                "by `splits`, or choose another",
            )


def _weighting(run: Run) -> Iterator[Mistake]:
    name = run.weighting.type
    weighting = WEIGHTING.find(name)
    if weighting.reads_gradients and run.training.precision == "fp16":
        yield (
            "training.precision",
            f"the weighting {name!r} compares gradients, which lose their smallest numbers in "
            "float16; choose bf16 or fp32",
        )
    if current().several and not weighting.adds_parts():
        yield (
            "weighting",
            f"{name!r} cannot add up the parts of several processes; "
            "train in one process, or choose another weighting",
        )
    if run.training.accumulate > 1 and not weighting.adds_parts():
        yield (
            "training.accumulate",
            f"the weighting {name!r} cannot add up the parts of a step; "
            "set 1, or choose another weighting",
        )
    if len(run.tasks) < weighting.min_tasks:
        yield "weighting", f"{name!r} cannot balance a single task; choose 'static'"
    # Without joint mixing, a step has a batch of one corpus only.
    elif weighting.within_step and not MIXING.find(run.training.mixing.type).joint:
        corpora = Counter(task.corpus for task in run.tasks.values())
        if max(corpora.values()) < weighting.min_tasks:
            yield (
                "weighting",
                f"{name!r} compares the tasks of a step, but every corpus has a single task; set "
                "training.mixing to joint, so that a step has a batch of every corpus",
            )
