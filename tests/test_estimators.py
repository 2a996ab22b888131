"""`Classifier` and `Tagger`, inside the tools of scikit-learn."""

from __future__ import annotations

import gc
import json
import pickle
import pickletools
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from seqeval.metrics import f1_score
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_val_score
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import estimator_checks
from sklearn.utils.validation import check_is_fitted

import mtl
from mtl.errors import MtlError
from mtl.estimators.inputs import InputError
from tests import hub
from tests.cli.command import mtl as command
from tests.cli.objects import moods, news

SMALL: dict[str, Any] = {
    "trunk": {"type": "lstm", "num_layers": 1, "hidden_size": 8},
    "epochs": 8,
    "lr": 0.03,
    "batch_size": 4,
    "config": {"embedding.characters": None},
}
TEXTS, MOODS = (list(side) for side in zip(*moods(40, 1), strict=True))
TOKENS = [row["tokens"] for row in news(40, 1)]
NER = [row["ner"] for row in news(40, 1)]


@pytest.fixture(scope="module")
def classifier() -> mtl.Classifier:
    return mtl.Classifier(**SMALL).fit(TEXTS, MOODS)


@pytest.fixture(scope="module")
def tagger() -> mtl.Tagger:
    return mtl.Tagger(**SMALL, scheme="bio").fit(TOKENS, NER)


# ---- a classifier


def test_a_classifier_learns(classifier: mtl.Classifier) -> None:
    assert classifier.classes_.tolist() == ["glad", "sad"]
    found = classifier.predict(TEXTS)
    assert isinstance(found, np.ndarray)
    assert classifier.score(TEXTS, MOODS) == accuracy_score(MOODS, found) > 0.9


def test_convolutions_are_given_by_their_name_alone() -> None:
    found = mtl.Classifier(trunk="conv", head="pool", epochs=1).fit(TEXTS, MOODS)
    assert set(found.predict(TEXTS)) <= set(MOODS)


def test_probabilities_of_classes(classifier: mtl.Classifier) -> None:
    found = classifier.predict_proba(TEXTS)
    assert found.shape == (40, 2)
    assert found.sum(1) == pytest.approx(np.ones(40))
    assert classifier.classes_[found.argmax(1)].tolist() == classifier.predict(TEXTS).tolist()
    (one,) = classifier.model_.annotate(TEXTS[:1], confidence=True)
    assert found[0].max() == pytest.approx(one.confidence["label"], abs=1e-6)


def test_no_texts_have_no_labels(classifier: mtl.Classifier, tagger: mtl.Tagger) -> None:
    assert classifier.predict([]).shape == (0,)
    assert classifier.predict_proba([]).shape == (0, 2)
    assert tagger.predict([]) == tagger.predict_proba([]) == []
    assert tagger.predict([[]]) == [[]]
    assert tagger.predict_proba([[]])[0].shape == (0, len(tagger.classes_))


@pytest.mark.sampled(2)
@pytest.mark.parametrize("kind", [list, np.array, pd.Series, tuple])
def test_texts_and_labels_of_any_kind_of_list(kind: Any, classifier: mtl.Classifier) -> None:
    own = clone(classifier).fit(kind(TEXTS), kind(MOODS))
    assert own.predict(kind(TEXTS)).tolist() == classifier.predict(TEXTS).tolist()
    assert own.score(kind(TEXTS), kind(MOODS)) == classifier.score(TEXTS, MOODS)


@pytest.mark.sampled(2)
@pytest.mark.parametrize("labels", [[-1, 1], [False, True], [0.0, 2.0], ["_", "a"], ["", " "]])
def test_labels_of_other_types_come_back(labels: list[Any]) -> None:
    y = np.array([labels[mood == "glad"] for mood in MOODS])
    own = mtl.Classifier(**SMALL).fit(TEXTS, y)
    assert own.classes_.tolist() == labels
    assert own.classes_.dtype == y.dtype
    assert own.score(TEXTS, y) > 0.9
    assert set(own.predict(TEXTS).tolist()) <= set(labels)


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        ([True, 1], "expected labels of one type, got bools and numbers"),
        (["a", 1], "expected labels of one type, got numbers and strings"),
        ([float("nan"), 1.0], "expected a string or a whole number, got nan"),
    ],
)
def test_labels_of_several_types_are_refused(labels: list[Any], told: str) -> None:
    with pytest.raises(InputError, match=told):
        mtl.Classifier(**SMALL).fit(["a", "b"], labels)


@pytest.mark.parametrize("labels", [[1, 2.0], ["", "class ''"], [" a", "class ' a'"]])
def test_no_two_labels_become_one(labels: list[Any]) -> None:
    y = [labels[mood == "glad"] for mood in MOODS]
    own = mtl.Classifier(**SMALL).fit(TEXTS, y)
    assert own.classes_.tolist() == labels
    assert own.score(TEXTS, y) > 0.9


@pytest.mark.parametrize(("init", "dev"), [(3, None), ([], None), (None, 3), (None, "ab")])
def test_wrong_types_are_refused(init: Any, dev: Any) -> None:
    with pytest.raises(InputError, match=r"init: expected a folder|dev: expected a pair"):
        mtl.Classifier(**SMALL, init=init).fit(TEXTS, MOODS, dev=dev)


@pytest.mark.parametrize("classes", [{"a": 1}, [["glad"]], ["q"], "glad"])
def test_classes_that_the_model_does_not_have_are_an_error(
    classifier: mtl.Classifier, tmp_path: Path, classes: Any
) -> None:
    classifier.save(tmp_path / "saved")
    path = tmp_path / "saved" / "estimator.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"classes": classes}))
    with pytest.raises(MtlError, match="its classes differ from the labels"):
        mtl.Classifier.load(tmp_path / "saved")


# ---- a tagger


def test_a_tagger_learns(tagger: mtl.Tagger) -> None:
    found = tagger.predict(TOKENS)
    assert [len(row) for row in found] == [len(row) for row in TOKENS]
    assert tagger.score(TOKENS, NER) == pytest.approx(f1_score(NER, found))
    assert tagger.score(TOKENS, NER) > 0.8


def test_probabilities_of_tags(tagger: mtl.Tagger) -> None:
    found = tagger.predict_proba(TOKENS)
    assert [row.shape for row in found] == [(len(row), len(tagger.classes_)) for row in TOKENS]
    assert np.concatenate(found).sum(1) == pytest.approx(1)
    tags = tagger.predict(TOKENS)
    predictions = tagger.model_.annotate(TOKENS, confidence=True)
    for prediction, row, own in zip(predictions, found, tags, strict=True):
        columns = [tagger.classes_.tolist().index(tag) for tag in own]
        ours = row[range(len(own)), columns]
        assert ours == pytest.approx(prediction.confidence["tag"], abs=1e-5)


def test_probabilities_of_a_long_sentence_and_of_another_scheme() -> None:
    config = {**SMALL["config"], "training.max_length": 6, "training.overlap": 2}
    head = {"type": "crf", "scheme": "iobes"}
    options = {**SMALL, "config": config}
    own = mtl.Tagger(**options, scheme="bio", head=head).fit(TOKENS, NER)
    words = [word for row in TOKENS for word in row]
    (found,) = own.predict_proba([words])
    assert found.shape == (len(words), len(own.classes_))
    assert found.sum(1) == pytest.approx(1, abs=1e-5)
    (prediction,) = own.model_.annotate([words], confidence=True)
    tags = own.predict([words])[0]
    chosen = [row[own.classes_.tolist().index(tag)] for row, tag in zip(found, tags, strict=True)]
    assert np.mean(np.isclose(chosen, prediction.confidence["tag"], atol=1e-5)) > 0.9


def test_without_a_scheme_the_score_is_the_accuracy() -> None:
    pos = [row["pos"] for row in news(40, 1)]
    own = mtl.Tagger(**SMALL).fit(TOKENS, pos)
    flat = [tag for row in own.predict(TOKENS) for tag in row]
    assert own.score(TOKENS, pos) == accuracy_score([tag for row in pos for tag in row], flat)


# ---- the tools of scikit-learn


ESTIMATORS = [
    mtl.Classifier(**SMALL),
    mtl.Classifier(head="attention", seed=3, config={"trunk.dropout": 0.1}),
    mtl.Tagger(scheme="bio", epochs=2),
]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_parameters_are_those_of_the_constructor(estimator: Any) -> None:
    params = estimator.get_params()
    assert clone(estimator).get_params() == params
    assert type(estimator)(**params).get_params() == params
    assert clone(estimator).set_params(epochs=7).get_params() == {**params, "epochs": 7}
    names = {"Classifier": mtl.Classifier, "Tagger": mtl.Tagger}
    assert eval(repr(estimator), names).get_params() == params
    with pytest.raises(ValueError, match="has no parameter 'epohcs'; did you mean 'epochs'"):
        clone(estimator).set_params(epohcs=1)


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=repr)
def test_an_estimator_that_is_not_fitted(estimator: Any) -> None:
    own = clone(estimator)
    with pytest.raises(NotFittedError):
        check_is_fitted(own)
    for call in (own.predict, own.predict_proba, lambda x: own.score(x, x)):
        with pytest.raises(NotFittedError, match="is not fitted; call fit first"):
            call([["a"]] if isinstance(own, mtl.Tagger) else ["a"])
    assert pickle.loads(pickle.dumps(own)).get_params() == own.get_params()


def test_fitted_estimators_are_known(classifier: mtl.Classifier, tagger: mtl.Tagger) -> None:
    for estimator in (classifier, tagger):
        check_is_fitted(estimator)
    assert is_classifier(classifier)
    assert not is_classifier(tagger)


def test_one_seed_gives_one_model(classifier: mtl.Classifier) -> None:
    again = clone(classifier).fit(TEXTS, MOODS)
    expected = classifier.predict_proba(TEXTS).tolist()
    assert again.predict_proba(TEXTS).tolist() == expected
    assert again.fit(TEXTS, MOODS).predict_proba(TEXTS).tolist() == expected
    other = clone(classifier).set_params(seed=2).fit(TEXTS, MOODS)
    assert other.predict_proba(TEXTS).tolist() != expected


def test_cross_validation_and_a_pipeline() -> None:
    lower = FunctionTransformer(lambda texts: [text.lower() for text in texts])
    pipeline = Pipeline([("lower", lower), ("classify", mtl.Classifier(**SMALL))])
    assert cross_val_score(pipeline, TEXTS, MOODS, cv=2).min() > 0.6
    found = cross_val_predict(mtl.Classifier(**SMALL), TEXTS, MOODS, cv=2, method="predict_proba")
    assert found.shape == (40, 2)
    scores = cross_val_score(mtl.Tagger(**SMALL, scheme="bio"), TOKENS, NER, cv=2)
    assert scores.min() > 0.3


def test_a_search_over_parameters() -> None:
    search = GridSearchCV(mtl.Classifier(**SMALL), {"lr": [0.02, 1e-9], "seed": [1]}, cv=2)
    search.fit(TEXTS, MOODS)
    assert search.best_params_ == {"lr": 0.02, "seed": 1}
    assert search.predict(TEXTS[:2]).shape == (2,)


# ---- saving


def test_pickles_hold_the_files_of_the_run_folder(
    classifier: mtl.Classifier, tagger: mtl.Tagger
) -> None:
    for estimator, data in ((classifier, TEXTS), (tagger, TOKENS)):
        content = pickle.dumps(estimator)
        # Protocol 0 names the modules that unpickling imports; the weights are bytes of a file.
        operations = pickletools.genops(pickle.dumps(estimator, protocol=0))
        modules = {str(arg).split(".")[0] for op, arg, _ in operations if op.name == "GLOBAL"}
        assert {"mtl"} < modules
        assert not any(module.startswith("torch") for module in modules)
        twice = pickle.loads(pickle.dumps(pickle.loads(content)))
        assert twice.get_params() == estimator.get_params()
        assert list(twice.predict(data)) == list(estimator.predict(data))


def test_temporary_folders_are_removed() -> None:
    own = mtl.Classifier(**{**SMALL, "epochs": 1}).fit(TEXTS, MOODS)
    first = own.model_.folder
    copy = pickle.loads(pickle.dumps(own))
    second = copy.model_.folder
    assert first.is_dir()
    assert second.is_dir()
    del own, copy
    gc.collect()
    assert not first.exists()
    assert not second.exists()


def test_saved_estimators_are_run_folders(classifier: mtl.Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "saved")
    loaded = mtl.Classifier.load(tmp_path / "saved")
    assert loaded.get_params() == classifier.get_params()
    assert loaded.classes_.tolist() == classifier.classes_.tolist()
    assert loaded.predict_proba(TEXTS).tolist() == classifier.predict_proba(TEXTS).tolist()
    assert mtl.load(tmp_path / "saved").tasks == ["label"]
    assert command("predict", str(tmp_path / "saved"), stdin="A good film.\n").code == 0
    with pytest.raises(MtlError, match="exists already"):
        classifier.save(tmp_path / "saved")
    with pytest.raises(MtlError, match="not a saved Tagger"):
        mtl.Tagger.load(tmp_path / "saved")
    with pytest.raises(MtlError, match="no such file"):
        mtl.Tagger.load(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["saved"]


def test_a_folder_of_ones_own(tmp_path: Path) -> None:
    own = mtl.Classifier(**{**SMALL, "epochs": 1}, output=tmp_path / "run").fit(TEXTS, MOODS)
    assert own.model_.folder == tmp_path / "run"
    with pytest.raises(MtlError, match="exists already"):
        own.fit(TEXTS, MOODS)


# ---- data and mistakes


def test_a_development_set_of_ones_own() -> None:
    own = mtl.Classifier(**SMALL).fit(TEXTS, MOODS, dev=(TEXTS[:5], MOODS[:5]))
    splits = own.model_.run.corpora["data"]
    assert set(splits.files) == {"train", "dev"}
    few = mtl.Classifier(**SMALL).fit(TEXTS[:10], MOODS[:10])
    assert few.model_.run.corpora["data"].split_names == {"train"}


def test_the_configuration_can_be_changed() -> None:
    config = {"training.optimizer": {"type": "sgd", "lr": 0.5}, "embedding.characters": None}
    own = mtl.Classifier(**{**SMALL, "epochs": 1, "config": config}).fit(TEXTS, MOODS)
    assert own.model_.run.training.optimizer.type == "sgd"
    assert set(own.model_.run.embedding) == {"words", "affixes"}


@pytest.mark.parametrize(
    ("estimator", "data", "message"),
    [
        ("c", ("a text", ["a"]), "X: expected a list, got str"),
        ("c", (["a"], ["a", "b"]), "expected as many labels as texts, got 2 for 1"),
        ("c", ([], []), "at least one"),
        ("c", (["a", 3], ["a", "b"]), r"X\[1\]: expected a text or a list of words, got 3"),
        ("c", (["a", None], ["a", "b"]), r"X\[1\]: expected a text or a list of words, got None"),
        ("c", (pd.DataFrame({"a": ["b"]}), ["a"]), r"X: expected a list or one column.*\(1, 1\)"),
        ("c", (np.array([["a"]]), ["a"]), r"X: .* got a table of shape \(1, 1\)"),
        ("c", (["a", "b"], ["a", None]), r"y\[1\]: expected a string or a whole number, got None"),
        ("c", (["a", "b"], [0.5, 1.0]), r"y\[0\]: expected a string or a whole number, got 0.5"),
        ("c", (["a", "b"], ["1", 1]), "y: expected labels of one type"),
        ("t", (["a text"], [["a"]]), r"X\[0\]: expected a list of words, got 'a text'"),
        ("t", ([["a", "b"]], [["x"]]), r"X\[0\], y\[0\]: .* got 2 words and 1 tags"),
        ("t", ([["a", "b"]], [["x", 1]]), r"y\[0\]: expected a list of tags, found 1 in it"),
        ("t", ([["a"], ["b"]], [["x"]]), "got 1 for 2"),
    ],
)
def test_mistakes_are_named(estimator: str, data: tuple[Any, Any], message: str) -> None:
    own = mtl.Classifier(**SMALL) if estimator == "c" else mtl.Tagger(**SMALL)
    with pytest.raises(ValueError, match=message) as error:
        own.fit(*data)
    assert isinstance(error.value, MtlError)


def test_wrong_parameters_are_named_by_fit() -> None:
    with pytest.raises(MtlError, match=r"config\['trunk'\]\['type'\]: trunk: .*'lstn'"):
        mtl.Classifier(trunk="lstn").fit(TEXTS, MOODS)
    with pytest.raises(MtlError, match=r"override: training\.lr"):
        mtl.Classifier(config={"training.lr": 1}).fit(TEXTS, MOODS)


def test_scikit_learn_is_not_needed() -> None:
    code = "import sys; sys.modules['sklearn'] = None; import mtl\n" + (
        "try: mtl.Tagger().predict([['a']])\nexcept Exception as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "this Tagger is not fitted; call fit first\n", done.stderr


def test_errors_name_the_arguments_of_fit() -> None:
    with pytest.raises(MtlError, match=r"^X\[0\]: a text has an incomplete character"):
        mtl.Classifier(**SMALL).fit(["\ud83d", "b"], ["x", "y"])
    with pytest.raises(MtlError, match=r"^dev\[0\]\[1\]: a text has an incomplete character"):
        mtl.Classifier(**SMALL).fit(["a", "b"], ["x", "y"], dev=(["a", "\ud83d"], ["x", "y"]))


# ---- pretrained weights


def test_models_of_the_package_give_trunk_and_embedding() -> None:
    own = mtl.Tagger(init="english", epochs=1, scheme="bio").fit(TOKENS[:8], NER[:8])
    trunk = own.model_.run.trunk
    assert (trunk.type, trunk.options["init"]) == ("qrnn", "english")
    before = mtl.load("english").networks[0].state_dict()
    after = own.model_.networks[0].state_dict()
    (name, *_) = (n for n in after if "trunk" in n and n.endswith("weight"))
    # One epoch moves the weights a little; random weights would be far away.
    assert (after[name] - before[name]).norm() < 0.2 * before[name].norm()


def test_a_run_folder_gives_trunk_and_embedding(classifier: mtl.Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "saved")
    own = mtl.Classifier(**{**SMALL, "trunk": None, "epochs": 1}, init=tmp_path / "saved")
    assert clone(own).get_params() == own.get_params()
    trunk = own.fit(TEXTS, MOODS).model_.run.trunk
    assert trunk.options["hidden_size"] == 8
    with pytest.raises(MtlError, match="run folder"):
        mtl.Classifier(init=tmp_path).fit(TEXTS, MOODS)


def test_a_pretrained_transformer_is_a_start(tmp_path: Path) -> None:
    folder = hub.bert(tmp_path / "bert")
    config = {"training.max_length": 20, "training.overlap": 4}
    own = mtl.Classifier(init=str(folder), epochs=1, config=config).fit(TEXTS[:8], MOODS[:8])
    assert own.model_.run.trunk.type == "transformer"
    assert own.model_.run.training.optimizer.options["lr"] == 0.0005
    assert len(own.predict(TEXTS[:3])) == 3


# ---- the checks of scikit-learn
#
# Most of them fit a table of numbers, so they get an estimator that reads each number as a word.
# These do not apply: sample weights and class weights (not supported), sparse and complex numbers,
# NaN, several outputs, names and numbers of features, transformers, regressors and clusterings.


class OfNumbers(mtl.Classifier):
    """A classifier of rows of numbers, with numbers as words."""

    def fit(self, X: Any, y: Any) -> Any:
        return super().fit(_words(X), y)

    def predict(self, X: Any) -> Any:
        return super().predict(_words(X))

    def predict_proba(self, X: Any) -> Any:
        return super().predict_proba(_words(X))

    def score(self, X: Any, y: Any) -> float:
        return super().score(_words(X), y)


def _words(X: Any) -> Any:
    if isinstance(X, list) and (not X or not np.isscalar(X[0])) and not hasattr(X[0], "dtype"):
        return X  # from `score`
    return [[f"{place}:{value:.0f}" for place, value in enumerate(row)] for row in np.asarray(X)]


@pytest.mark.parametrize("kind", [mtl.Classifier, mtl.Tagger])
@pytest.mark.parametrize(
    "check",
    [
        "do_not_raise_errors_in_init_or_set_params",
        "estimator_cloneable",
        "estimator_repr",
        "estimator_tags_renamed",
        "estimators_unfitted",
        "get_params_invariance",
        "mixin_order",
        "no_attributes_set_in_init",
        "parameters_default_constructible",
        "set_params",
        "valid_tag_types",
    ],
)
def test_checks_of_scikit_learn_without_data(kind: Any, check: str) -> None:
    getattr(estimator_checks, f"check_{check}", _newer)(kind.__name__, kind())


@pytest.mark.slow
@pytest.mark.parametrize(
    "check",
    [
        "classifiers_classes",
        "dict_unchanged",
        "dont_overwrite_parameters",
        "estimators_fit_returns_self",
        "estimators_overwrite_params",
        "estimators_pickle",
        "f_contiguous_array_estimator",
        "fit_check_is_fitted",
        "fit_idempotent",
        "fit_score_takes_y",
        "methods_sample_order_invariance",
        "methods_subset_invariance",
        "readonly_memmap_input",
    ],
)
def test_checks_of_scikit_learn_with_numbers_as_words(check: str) -> None:
    config = {"embedding.characters": None, "embedding.affixes": None}
    trunk = {"type": "lstm", "num_layers": 1, "hidden_size": 8}
    own = OfNumbers(trunk=trunk, epochs=8, lr=0.03, config=config)
    getattr(estimator_checks, f"check_{check}", _newer)("OfNumbers", own)


def _newer(name: str, estimator: Any) -> None:
    pytest.skip("this version of scikit-learn does not have the check")
