"""`TextClassifier`: laws of predictions, explanations and influence, texts and labels that are refused, and storage."""

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import cross_val_score

import mapsto as mt
from mapsto import weights
from mapsto.errors import MapstoError
from mapsto.estimators.sharpness import leave_one_out
from mapsto.texts.words import join, words

TRAIN = [
    ("my card is lost", "card"), ("I lost my credit card", "card"), ("please block the stolen card", "card"),
    ("what time is it", "time"), ("tell me the time in london", "time"),
    ("will it rain tomorrow", "weather"), ("how warm is it outside", "weather"), 
    ("the forecast for paris please", "weather"),
]  # fmt: skip
TEXTS, LABELS = (list(part) for part in zip(*TRAIN, strict=True))
NEW = ["someone has my card", "the time in tokyo", "is rain coming, or snow?", "Привет, мир", "café 😀", ""]


def lengths(texts):
    """An encoder of another kind: it knows the number of characters, some letters, and the order of the words."""
    return np.array([[len(t), t.count("a"), t.count("t"), 1 + (t[:1] > t[-1:]), t.count(" ") + 0.5] for t in texts])


ENCODERS = {"shipped": None, "own": lengths}


@pytest.fixture(params=ENCODERS)
def clf(request):
    return mt.TextClassifier(encoder=ENCODERS[request.param], looks=64).fit(TEXTS, LABELS)


def enumerated(clf, parts):
    """Exact Shapley values of the parts by their definition, through predict_proba alone."""
    masks = list(itertools.product([False, True], repeat=len(parts)))
    v = dict(zip(masks, clf.predict_proba([join(list(itertools.compress(parts, m))) for m in masks]), strict=True))
    phi, d = np.zeros((len(parts), len(clf.classes_))), len(parts)
    for j, mask in itertools.product(range(d), masks):
        if not mask[j]:
            kernel = math.factorial(sum(mask)) * math.factorial(d - sum(mask) - 1) / math.factorial(d)
            phi[j] += kernel * (v[(*mask[:j], True, *mask[j + 1 :])] - v[mask])
    return phi


# --- laws -------------------------------------------------------------------------------------------------------------


def test_values_add_up_and_the_base_is_the_prediction_of_nothing(clf):
    e, p = clf.explain(NEW), clf.predict_proba(NEW)
    assert e.noun == e[:1].noun == "word"
    assert e.class_names == ["card", "time", "weather"] and e.values.shape == (6, 5, 3)
    assert np.abs(e.values).max() > 0.01
    np.testing.assert_allclose(p.sum(1), 1)
    np.testing.assert_allclose(e.predictions, p, atol=1e-6)
    np.testing.assert_allclose(e.base_values, 1 / 3)
    np.testing.assert_allclose(p[-1], 1 / 3)
    np.testing.assert_allclose(e.values.sum(-1), 0, atol=1e-9)
    assert e.parts == [words(text) for text in NEW] and e.parts[3] == ["Привет,", "мир"] and e.units == ["words"] * 6
    assert (e.values[4, 2:] == 0).all() and e.data[4, 2] is None


def test_values_are_exact_shapley_values_of_predict_proba(clf):
    e = clf.explain(NEW)
    for i, parts in enumerate(e.parts):
        np.testing.assert_allclose(e.values[i, : len(parts)], enumerated(clf, parts), atol=1e-6)
    assert (e.errors == 0).all() and e.looks == [2 ** len(parts) for parts in e.parts]


def test_values_of_longer_texts_are_estimated_within_their_standard_errors():
    clf = mt.TextClassifier(looks=256).fit(TEXTS, LABELS)
    text = "tell me please is the card that I lost in london blocked"
    e, exactly = clf.explain([text]), enumerated(clf, words(text))
    assert len(words(text)) == 12 and e.looks == [258]
    away, error = np.abs(e.values[0] - exactly), e.errors[0]
    assert 0 < error.max() < 0.05 and away.max() > 1e-6
    assert np.mean(away <= 2.5 * error + 1e-9) > 0.85
    np.testing.assert_allclose(e.predictions, clf.predict_proba([text]), atol=1e-6)


def test_predictions_do_not_depend_on_other_texts_nor_on_spaces(clf):
    p = clf.predict_proba(NEW)
    for text, row in zip(NEW, p, strict=True):
        np.testing.assert_allclose(clf.predict_proba([text])[0], row, atol=1e-6)
    np.testing.assert_allclose(clf.predict_proba([f" {text.replace(' ', '  ')}\n" for text in NEW]), p, atol=1e-6)


def test_the_shipped_encoder_adds_up_words_in_any_order():
    clf = mt.TextClassifier().fit(TEXTS, LABELS)
    np.testing.assert_allclose(
        clf.predict_proba(["card my has someone"]), clf.predict_proba(["Someone HAS my card!"]), atol=1e-6
    )


def test_the_order_of_training_texts_does_not_matter(clf):
    order = np.random.default_rng(0).permutation(len(TEXTS))
    other = clone(clf).fit([TEXTS[i] for i in order], [LABELS[i] for i in order])
    np.testing.assert_allclose(other.predict_proba(NEW), clf.predict_proba(NEW), atol=1e-5)
    np.testing.assert_allclose(other.explain(NEW).values, clf.explain(NEW).values, atol=1e-5)


def test_classes_are_permuted_with_their_names(clf):
    names = {"card": "z", "time": "m", "weather": "a"}
    other = clone(clf).fit(TEXTS, [names[label] for label in LABELS])
    np.testing.assert_allclose(other.predict_proba(NEW)[:, ::-1], clf.predict_proba(NEW), atol=1e-6)
    assert other.predict(NEW[:-1]).tolist() == [names[label] for label in clf.predict(NEW[:-1])]


def test_influence_is_the_change_when_a_text_is_deleted(clf):
    influence = clf.influence(NEW[:3])
    assert influence.shape == (3, 8, 3) and np.abs(influence).max() > 1e-3
    for i in range(8):
        keep = [j for j in range(8) if j != i]
        rest = mt.TextClassifier(encoder=clf.encoder).fit([TEXTS[j] for j in keep], [LABELS[j] for j in keep])
        rest.sharpness_ = clf.sharpness_
        np.testing.assert_allclose(influence[:, i], rest.predict_proba(NEW[:3]) - clf.predict_proba(NEW[:3]), atol=1e-5)
    np.testing.assert_array_equal(clf.influence(NEW[:3], among=[5, 0]), influence[:, [5, 0]])


def test_deleting_the_only_text_of_a_class_deletes_the_class():
    clf = mt.TextClassifier().fit(["lost card", "what time", "it rains"], ["a", "b", "c"])
    influence = clf.influence(["my card"])
    np.testing.assert_allclose((clf.predict_proba(["my card"]) + influence[:, 0])[0, 0], 0)


def test_whole_weights_count_texts_and_0_deletes_one(clf):
    w = [2, 1, 0, 1, 1, 3, 1, 1]
    repeated = [i for i in range(8) for _ in range(w[i])]
    one = clone(clf).fit(TEXTS, LABELS, w)
    two = clone(clf).fit([TEXTS[i] for i in repeated], [LABELS[i] for i in repeated])
    two.sharpness_ = one.sharpness_
    np.testing.assert_allclose(one.predict_proba(NEW), two.predict_proba(NEW), atol=1e-6)
    assert (one.influence(NEW)[:, 2] == 0).all()


def test_classes_with_few_and_with_many_texts_are_on_equal_terms():
    clf = mt.TextClassifier().fit([TEXTS[0], *TEXTS[3:5] * 20, TEXTS[5]], ["card", *["time"] * 40, "weather"])
    assert clf.predict(["my card is lost", "will it rain tomorrow", "what time is it"]).tolist() == [
        "card",
        "weather",
        "time",
    ]
    mean = mt.TextClassifier(encoder=lambda texts: np.eye(3)[[int(text[0]) for text in texts]])
    mean.fit(["0", "1", "1 x", "2"], ["a", "b", "b", "b"])
    mean.sharpness_ = 2.0
    away = mean.sharpness_ * 2 / math.sqrt(5)  # the cosine of (0, 1, 0) and the mean (0, 2/3, 1/3)
    assert mean.predict_proba(["1"])[0, 1] == pytest.approx(1 / (1 + math.exp(-away)), abs=1e-6)


# --- long texts -------------------------------------------------------------------------------------------------------

STORY = (
    "Good morning to you. I had a lovely walk along the river with the dog. Then I noticed that I lost my credit card! "
    "Please block the stolen card. The dog was happy all the same, as dogs are. We went home and had a cup of tea. "
    "My neighbour came over and told us about her garden and the roses. Somebody may use my card now. Thank you."
)


def test_long_texts_are_explained_by_their_sentences_and_the_extract_carries_the_class(clf):
    e = clf.explain([STORY, "my card"])
    assert e.units == ["sentences", "words"] and len(e.parts[0]) == 9 and e.feature_names[0] == "part 1"
    np.testing.assert_allclose(e.values[0], enumerated(clf, e.parts[0]), atol=1e-6)
    assert clf.explain(["Hi. My card. I lost it. Help me. Please!", "card and so on " * 15]).units == ["words"] * 2
    if clf.encoder is None:
        assert clf.predict([STORY]) == ["card"] and e.extract(0) == e.extract(0, target=0)
        assert [sentence[:5] for sentence in e.extract(0)] == ["Then ", "Pleas", "Someb"]
        assert set(e.extract(0, target=1)).isdisjoint(e.extract(0)) and len(e.extract(0, 0, count=1)) == 1


def test_players_can_be_chosen():
    clf = mt.TextClassifier(looks=256).fit(TEXTS, LABELS)
    by_words, by_sentences = (
        clf.explain([STORY], players="words"),
        clf.explain(["My card. The time?"], players="sentences"),
    )
    assert by_words.units == ["words"] and by_words.parts[0] == STORY.split() and by_words.feature_names[0] == "word 1"
    assert by_sentences.parts == [["My card.", "The time?"]] and by_sentences.feature_names[0] == "sentence 1"


@pytest.mark.usefixtures("unchecked")
def test_players_are_words_or_sentences():
    with pytest.raises(MapstoError, match=r"^players: got 'letters'"):
        mt.TextClassifier().fit(TEXTS, LABELS).explain(["a"], players="letters")


def test_a_text_of_ten_thousand_words_is_explained_by_sentences():
    clf = mt.TextClassifier(looks=64).fit(TEXTS, LABELS)
    text = "my card is lost and so on " * 1429
    e = clf.explain([text])
    assert e.units == ["sentences"] and len(e.parts[0]) == 251 and e.parts[0][0].split() == text.split()[:40]
    np.testing.assert_allclose(e.predictions, clf.predict_proba([text]), atol=1e-5)
    with pytest.raises(MapstoError, match=r"^players: got 'words' for a text of 10,003 words"):
        clf.explain([text], players="words")


def test_selected_rows_of_an_explanation_keep_their_parts():
    e = mt.TextClassifier(looks=64).fit(TEXTS, LABELS).explain([STORY, *NEW])
    for rows in (2, slice(1, 3), [0, 4], np.arange(7) == 3):
        part = e[rows]
        chosen = (
            np.arange(7)[[rows] if rows == 2 else rows] if not isinstance(rows, np.ndarray) else np.flatnonzero(rows)
        )
        assert part.parts == [e.parts[i] for i in chosen] and part.units == [e.units[i] for i in chosen]
        np.testing.assert_array_equal(part.values, e.values[chosen])
        np.testing.assert_array_equal(part.errors, e.errors[chosen])


# --- what is refused, and what is said --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts", [["a", None], ["a", math.nan], ["a", 3], "a text", [], pd.DataFrame({"a": "b", "c": ["d"]})]
)
def test_texts_that_cannot_be_read_are_refused_everywhere(texts):
    fitted = mt.TextClassifier().fit(TEXTS, LABELS)
    calls = (lambda: mt.TextClassifier().fit(texts, ["x", "y"]), lambda: fitted.predict(texts))
    for call in (*calls, lambda: fitted.explain(texts), lambda: fitted.influence(texts)):
        with pytest.raises(MapstoError, match=r"^texts: got "):
            call()


@pytest.mark.parametrize("empty", ["", "  \n"])
def test_an_empty_training_text_is_refused_unless_its_weight_is_0(empty):
    with pytest.raises(MapstoError, match=r"^texts: got 1 text\(s\) without a word, the first at position 1"):
        mt.TextClassifier().fit(["a", empty, "b"], [0, 1, 1])
    assert mt.TextClassifier().fit(["a", empty, "b"], [0, 1, 1], [1, 0, 1]).predict(["b"]) == [1]


@pytest.mark.parametrize(
    "labels",
    [
        [0],
        [0, 0, 0],
        [0, 1, None],
        [0, 1, math.nan],
        [0, "a", "b"],
        [True, "a", "b"],
        [True, 1, 0],
        [0.5, 1.5, 2.5],
        "abc",
        [[0, 1, 2]],
    ],
)
def test_labels_that_make_no_classes_are_refused(labels):
    with pytest.raises((MapstoError, ValueError), match=r"^labels|^y should be|^Input"):
        mt.TextClassifier().fit(["a", "b", "c"], labels)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([3, 1, 3], 3), ((True, False, True), True), (np.array(["x", "y", "x"]), "x"),
        (pd.Series([2, 1, 2], [5, 6, 7]), 2),
        (pd.Series(["b", "a", "b"], dtype="category"), "b"), (pd.array([2, 1, 2], "Int64"), 2),
    ],
)  # fmt: skip
def test_labels_keep_their_type(labels, expected):
    predicted = mt.TextClassifier().fit(["lost card", "what time", "lost cards"], labels).predict(["the card"])
    assert predicted.shape == (1,) and predicted[0] == expected


def test_remarks_are_said():
    assert mt.TextClassifier().fit(TEXTS, LABELS).notes_ == []
    notes = mt.TextClassifier().fit(["Lost  card", "lost card", "lost card", "привет", "где"], [0, 0, 1, 1, 1]).notes_
    assert [re.sub(r"\. .*", ".", note) for note in notes] == [
        "texts: 1 training text(s) repeat another one of their class; all of them count.",
        "texts: 1 training text(s) occur in more than one class.",
        "texts: 2 training texts are not in Latin letters (Cyrillic).",
    ]
    assert mt.TextClassifier(encoder=lengths).fit(["привет", "где"], [0, 1]).notes_ == []


def test_spellings_of_a_label_are_one_class():
    clf = mt.TextClassifier().fit(TEXTS, ["Card", "card ", "card", *LABELS[3:]])
    assert clf.classes_.tolist() == ["card", "time", "weather"] and "one class, 'card'" in clf.notes_[0]


def test_texts_in_other_scripts_are_told_apart_by_their_letters():
    clf = mt.TextClassifier().fit(["我的卡丢了", "现在几点了", "где моя карта", "который час"], ["card", "time"] * 2)
    assert clf.predict(["卡丢了", "几点", "карту потерял", "час"]).tolist() == ["card", "time", "card", "time"]


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("looks", [0, 15, 2.5, "many"])
def test_looks_are_a_whole_number(looks):
    with pytest.raises(MapstoError, match=r"^looks: "):
        mt.TextClassifier(looks=looks).fit(TEXTS, LABELS)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "explain", "influence", "save"])
def test_an_estimator_that_is_not_fitted_says_so(method, tmp_path):
    with pytest.raises(NotFittedError):
        getattr(mt.TextClassifier(), method)(tmp_path / "a" if method == "save" else TEXTS)


# --- an encoder of one's own ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "encode", [lambda x: x, lambda x: x.tolist(), lambda x: torch.tensor(x), lambda x: torch.tensor(x).bfloat16()]
)
def test_an_encoder_may_return_arrays_lists_and_tensors(encode):
    clf = mt.TextClassifier(encoder=lambda texts: encode(lengths(texts))).fit(TEXTS, LABELS)
    p = mt.TextClassifier(encoder=lengths).fit(TEXTS, LABELS).predict_proba(NEW)
    np.testing.assert_allclose(clf.predict_proba(NEW), p, atol=0.1)


def test_a_vectorizer_of_scikit_learn_is_an_encoder():
    vectors = TfidfVectorizer().fit(TEXTS)
    clf = mt.TextClassifier(encoder=vectors.transform).fit(TEXTS, LABELS)
    assert clf.predict(["where is my lost card", "rain"]).tolist() == ["card", "weather"]
    np.testing.assert_allclose(clf.predict_proba(["unknown"]), 1 / 3)  # no known word: the vector 0


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    "encoder",
    [
        "model", TfidfVectorizer(), lambda texts: np.zeros(3), lambda texts: np.zeros((1, 3)),
        lambda texts: np.zeros((8, 0)),
        lambda texts: [["a"]] * len(texts), lambda texts: np.full((len(texts), 2), np.nan), lambda texts: None + 1,
    ],
)  # fmt: skip
def test_what_is_no_encoder_is_refused(encoder):
    with pytest.raises(MapstoError, match=r"^encoder: "):
        mt.TextClassifier(encoder=encoder).fit(TEXTS, LABELS)


def test_an_encoder_is_asked_about_texts_only_and_never_about_an_empty_one():
    asked = []
    clf = mt.TextClassifier(encoder=lambda texts: (asked.extend(texts), lengths(texts))[1]).fit(TEXTS, LABELS)
    assert asked == TEXTS
    clf.explain(["my card", ""])
    assert sorted(asked[8:]) == ["card", "my", "my card"]


def test_the_sharpness_is_the_one_of_the_highest_likelihood_without_the_text_itself():
    torch.manual_seed(0)
    x, y = (
        torch.nn.functional.normalize(torch.randn(9, 4) + 2 * torch.eye(4)[[0, 1, 2] * 3], dim=1),
        torch.tensor([0, 1, 2] * 3),
    )
    w = torch.rand(9) + 0.5

    def likelihood(s):
        total = 0.0
        for i in range(9):
            keep = torch.arange(9) != i
            means = torch.stack([(w * keep * (y == c)) @ x for c in range(3)])
            total += float(torch.log_softmax(s * torch.cosine_similarity(x[i][None], means), 0)[y[i]])
        return total

    candidates = (2.0, 3.0, 5.0, 8.0, 12.0, 20.0, 30.0, 50.0)
    assert leave_one_out(x, y, w) == max(candidates, key=likelihood) not in (2.0, 50.0)
    assert leave_one_out(x[:3], y[:3], w[:3]) == 12


# --- storage ----------------------------------------------------------------------------------------------------------


def test_a_saved_estimator_makes_the_same_predictions(clf, tmp_path):
    path = tmp_path / "texts.safetensors"
    clf.save(path)
    again = mt.TextClassifier.load(path, encoder=clf.encoder)
    np.testing.assert_array_equal(again.predict_proba(NEW), clf.predict_proba(NEW))
    np.testing.assert_array_equal(again.explain(NEW).values, clf.explain(NEW).values)
    np.testing.assert_array_equal(again.influence(NEW), clf.influence(NEW))
    assert again.classes_.tolist() == clf.classes_.tolist() and again.looks == 64
    assert (b"stolen" in path.read_bytes()) is False  # embeddings, not texts


def test_a_file_is_refused_with_another_encoder(tmp_path):
    own, shipped = tmp_path / "own.safetensors", tmp_path / "shipped.safetensors"
    mt.TextClassifier(encoder=lengths).fit(TEXTS, LABELS).save(own)
    mt.TextClassifier().fit(TEXTS, LABELS).save(shipped)
    for path, encoder in (
        (own, None),
        (shipped, lengths),
        (own, lambda t: lengths(t)[:, ::-1]),
        (own, lambda t: lengths(t)[:, :2]),
    ):
        with pytest.raises(MapstoError, match=r"^encoder: "):
            mt.TextClassifier.load(path, encoder=encoder)
    with pytest.raises(MapstoError, match=r"^path: .*TextClassifier\.load"):
        mt.ImageClassifier.load(shipped)


def test_it_works_in_scikit_learn():
    many, labels = [*TEXTS, *(f"{text} please" for text in TEXTS)], [*LABELS, *LABELS]
    assert np.mean(cross_val_score(mt.TextClassifier(), many, labels, cv=2)) > 0.8
    assert mt.TextClassifier is mt.estimators.TextClassifier and clone(mt.TextClassifier(looks=99)).looks == 99


# --- the shipped weights ----------------------------------------------------------------------------------------------


def test_the_weights_are_small_and_know_unseen_classes():
    assert weights.TEXTS.stat().st_size <= 4 * 2**20
    train = [("when does the next train leave", "train"), ("I need help with my homework", "school"),
             ("the dog is ill", "vet"), ("play some jazz for me", "music"), ("paint the kitchen", "home")]  # fmt: skip
    clf = mt.TextClassifier().fit(*zip(*train, strict=True))
    asked = {"trains to Berlin tonight": "train", "math homework is hard": "school", "my doggy needs a doctor": "vet",
             "I want to hear jazz music": "music", "painting a room": "home"}  # fmt: skip
    assert clf.predict(list(asked)).tolist() == list(asked.values())


def test_the_page_about_texts_runs_and_its_values_are_those_of_explain():
    page = (Path(__file__).parents[1] / "docs" / "texts.md").read_text()
    first, check = re.findall(r"```python\n(.*?)```", page, re.S)[:2]
    names: dict = {}
    exec(first.partition("clf.save")[0] + check, names)
    np.testing.assert_allclose(names["value"](3), names["e"].values[0, 3], atol=1e-6)
    assert names["clf"].predict(["someone took my card", "is rain coming?"]).tolist() == ["card", "weather"]
