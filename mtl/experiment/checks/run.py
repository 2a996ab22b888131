"""Mistakes that the parts of a run know of, found before they cost time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from torch import nn

from mtl.config.run import Run
from mtl.data.mixing import MIXING
from mtl.errors import did_you_mean
from mtl.experiment.build import head_owners, head_part, target_of
from mtl.experiment.checks import goals, options, transformer
from mtl.experiment.corpora import pair_of, tasks_of
from mtl.experiment.kinds import KINDS, build
from mtl.experiment.loaders import batch_limits
from mtl.experiment.pretrained import reads_subwords
from mtl.heads import HEADS, Classifier
from mtl.metrics import METRICS
from mtl.sharing import SHARING, Hierarchical
from mtl.targets import NextWordTarget, Target
from mtl.weighting import WEIGHTING

Mistake = tuple[str, str]
"""The dotted path of a key, and what is wrong with it."""


def mistakes(run: Run) -> Iterator[Mistake]:
    """Yield what does not fit together in a run, as far as that can be told without its data."""
    if run.seed + run.seeds > 2**63:
        yield "seeds", f"the last seed would be {run.seed + run.seeds - 1}; they end below 2^63"
    yield from _names(run)
    yield from transformer.mistakes(run)
    yield from _texts(run)
    yield from _heads(run)
    yield from _forms(run)
    yield from options.mistakes(run)
    yield from _metric(run)
    yield from _unscored(run)
    yield from goals.mistakes(run, set(scored_tasks(run)) - adversaries(run))
    yield from _weighting(run)
    yield from _sharing(run)


def _names(run: Run) -> Iterator[Mistake]:
    table = nn.ModuleDict()  # holds the heads by name, and has names of its own
    for task in run.tasks:
        if hasattr(table, task):
            yield (
                f"tasks.{task}",
                f"torch keeps the name {task!r} for itself; call the task something else, such as "
                f"{task}_label",
            )


def _texts(run: Run) -> Iterator[Mistake]:
    """Check language models: what they read must not have seen what they give."""
    both = run.trunk.options.get("bidirectional", False)
    for name, task in run.tasks.items():
        head = HEADS.find(head_part(run, head_owners(run)[name]).type)
        target = target_of(run, name)
        limits = batch_limits(run, task.corpus)
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
            yield f"tasks.{name}.head", "the labels are words of the text; take the head 'lm'"
        if "words" not in run.embedding:
            yield "embedding", f"task {name!r} needs the slot 'words', whose words it gives"
        if METRICS.find(task.metric.type).reads != target.values:
            yield f"tasks.{name}.metric", "a language model is measured by 'perplexity'"
        if task.source.text == "same":
            continue
        if both == "interleaved":
            yield (
                "trunk.bidirectional",
                f"from its second layer on, an interleaved trunk has seen the word that {name!r} "
                "is to give; set it to true (two stacks) or false",
            )
        elif not both and task.source.text == "previous":
            yield (
                f"tasks.{name}",
                "the previous word is what a trunk of one direction has just read; set "
                "trunk.bidirectional to true, or learn the next word",
            )


def _heads(run: Run) -> Iterator[Mistake]:
    for task, owner in head_owners(run).items():
        head, path = head_part(run, owner), f"tasks.{task}.head"
        given = head.options.get("scheme")
        scheme = given or run.tasks[owner].scheme
        if HEADS.find(head.type).level == "sentence":
            if run.tasks[task].scheme:
                yield path, f"{head.type!r} gives one label a sentence, the labels are span tags"
        elif scheme and not run.tasks[task].scheme:
            mend = "set it to null" if task == owner else "give the task a head of its own"
            yield (
                f"{path}.scheme" if task == owner else path,
                f"the head writes {scheme} tags, but the labels of {task!r} are no spans; {mend}, "
                "or say in the corpus file which `scheme` they have",
            )
        elif run.tasks[task].scheme and not scheme:
            yield (
                path,
                f"the labels of {task!r} are spans, those of {owner!r} are not; give the task a "
                "head of its own",
            )
        if task != owner and run.tasks[task].lr is not None:
            yield f"tasks.{task}.lr", f"the head is that of {owner!r}; set its lr there"


def _forms(run: Run) -> Iterator[Mistake]:
    """Check the form of each task's labels against its head and its metric."""
    for task, owner in head_owners(run).items():
        target, part = target_of(run, task), head_part(run, owner)
        head = HEADS.find(part.type)
        if not (head.accepts(target) or target.plain_labels or target.open_vocabulary):
            yield f"tasks.{task}.head", f"the labels are {target.noun}; {_heads_for(target)}"
        pairs, compares = pair_of(run, task), issubclass(head, Classifier) and head.pairs
        if pairs and not compares:
            yield f"tasks.{task}.head", "sentences come in pairs; take a classifier, such as pool"
        if bool(pairs) != bool(pair_of(run, owner)):
            yield f"tasks.{task}.head", f"pairs and sentences share no head, as with {owner!r}"
        sentence = head.level == "sentence"
        if sentence and task == owner and part.options.get("compare") is not None and not pairs:
            yield f"tasks.{task}.head.compare", "the reader has no `pair` to compare sentences with"
        if target is not (shared := target_of(run, owner)):
            yield (
                f"tasks.{task}.head",
                f"the labels are {target.noun}, those of {owner!r} are {shared.noun}; give the "
                "task a head of its own",
            )
        metric = run.tasks[task].metric.type
        if METRICS.find(metric).reads not in (target.values, NextWordTarget.values):
            able = (name for name, cls in METRICS.items() if cls.reads == target.values)
            yield (
                f"tasks.{task}.metric",
                f"{metric!r} is not for {target.noun}; take one of: {', '.join(sorted(able))}",
            )


def _heads_for(target: type[Target]) -> str:
    """Return the names of the heads that can learn a target, in a sentence."""
    able = (name for name, cls in HEADS.items() if cls.accepts(target) and not cls.adversarial)
    return f"take one of: {', '.join(sorted(able))}"


def _sharing(run: Run) -> Iterator[Mistake]:
    """Check that there is something to share, and the groups that an adversary tells apart."""
    name = run.sharing.type
    if len(run.tasks) < SHARING.find(name).min_tasks:
        yield "sharing", f"{name!r} has nothing to share in one task; take 'hard'"
    if not SHARING.find(name).has_trunks:
        message = f"{name!r} has no trunks with weights of their own; take another sharing"
        if run.trunk.options.get("init"):
            yield "trunk.init", message
        if run.training.fine_tuning:
            yield "training.fine_tuning", message
        if reads_subwords(run):
            yield "trunk.name", message
    groups = run.sharing.options.get("groups") or []
    group_of = {task: number for number, group in enumerate(groups) for task in group}
    for corpus in run.corpora:
        first, *others = tasks_of(run, corpus)
        for task in others:
            if {first, task} <= group_of.keys() and group_of[task] != group_of[first]:
                message = f"{first!r} and {task!r} read the same sentences; put them into one group"
                yield "sharing.groups", message
    if issubclass(SHARING.find(name), Hierarchical):
        yield from _levels(run)


def _levels(run: Run) -> Iterator[Mistake]:
    """Check what stands upon what in a hierarchy of tasks."""
    if reads_subwords(run):
        yield "sharing", "levels read labels of words, the trunk subwords; take another trunk"
    first, *above = run.sharing.options["order"] or run.tasks
    for task in above:
        if task in run.tasks and run.tasks[task].source.text is not None:
            yield (
                "sharing.order",
                f"a level upon another has seen the word that {task!r} is to give; make it the "
                f"lowest in the place of {first!r}",
            )


def scored_tasks(run: Run) -> list[str]:
    """Return the tasks whose corpus has a development set."""
    return [
        name for name, task in run.tasks.items() if "dev" in run.corpora[task.corpus].split_names
    ]


def adversaries(run: Run) -> set[str]:
    """Return the tasks that the trunk learns against."""
    owners = head_owners(run)
    return {name for name in run.tasks if HEADS.find(head_part(run, owners[name]).type).adversarial}


def _metric(run: Run) -> Iterator[Mistake]:
    task, _, score = run.training.metric.partition(".")
    scored = scored_tasks(run)
    averaged = [name for name in scored if name not in adversaries(run)]
    directions = {METRICS.find(run.tasks[t].metric.type).higher_is_better for t in averaged}
    if task != "mean":
        scores = build("metric", run.tasks[task].metric).compute()
        if task not in scored:
            yield "training.metric", f"the corpus of {task!r} has no dev split"
        elif score not in scores:
            near = did_you_mean(score, scores)
            yield "training.metric", f"task {task!r} has no score {score!r}{near}"
    elif scored and not averaged:
        yield (
            "training.metric",
            "only adversaries have a dev split, and their scores are not to be high; name one all "
            "the same, as TASK.SCORE",
        )
    elif len(directions) > 1:
        yield (
            "training.metric",
            "some of the tasks' metrics are better when higher, some when lower, so that their "
            "mean says nothing; name one, as TASK.SCORE",
        )


def _unscored(run: Run) -> Iterator[Mistake]:
    training = run.training
    parts = {"schedule": training.schedule, "average": training.average, "mixing": training.mixing}
    for kind, part in parts.items():
        if part and KINDS[kind].find(part.type).needs_scores and not scored_tasks(run):
            yield (
                f"training.{kind}",
                f"{part.type!r} follows the scores on a dev split, and no corpus has one; cut one "
                "by `splits`, or choose another",
            )


def _weighting(run: Run) -> Iterator[Mistake]:
    name = run.weighting.type
    weighting = WEIGHTING.find(name)
    if len(run.tasks) < weighting.min_tasks:
        yield "weighting", f"{name!r} has nothing to balance in one task; take 'static'"
    elif weighting.within_step and not MIXING.find(run.training.mixing.type).joint:
        corpora = Counter(task.corpus for task in run.tasks.values())
        if max(corpora.values()) < weighting.min_tasks:
            yield (
                "weighting",
                f"{name!r} compares the tasks of a step, and every corpus has one alone; set "
                "training.mixing to joint, so that a step takes a batch of each corpus",
            )
