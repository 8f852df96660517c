"""Texts as words and numbers, `tasks.Texts` and `models.TextEncoder`: splitting, hashing, hiding and adding up."""

import subprocess
import sys
import zlib

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import mapsto as mt
from mapsto.errors import MapstoError
from mapsto.models import TextEncoder
from mapsto.tasks import Texts
from mapsto.texts.features import features, numbers, plain
from mapsto.texts.reading import read_texts
from mapsto.texts.scripts import other_scripts, script
from mapsto.texts.words import LONGEST, join, sentences, words

MIXED = "Hello,  world! 你好，世界。 привет ไทย 😀👍 naïve\tcafé\n№5 — ok ‽"


# --- words and sentences ----------------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=40), st.randoms(use_true_random=False))
@example(MIXED, np.random.RandomState(0))
def test_any_words_of_a_text_are_the_words_of_the_text_that_they_make(text, random):
    every = words(text)
    chosen = [word for word in every if random.random() < 0.5]
    assert words(join(chosen)) == chosen
    assert "".join(every) == "".join(text.split())  # nothing is lost


def test_words_are_pieces_between_spaces_and_characters_of_scripts_without_spaces():
    assert words(MIXED)[:8] == ["Hello,", "world!", "你", "好，", "世", "界。", "привет", "ไ"]
    assert words(" \n\t ") == [] and join([]) == ""
    assert join(["我", "是", "Bob", "你"]) == "我是 Bob 你"


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="ab .!?\n你。", max_size=120))
def test_sentences_keep_all_words_in_their_order(text):
    every = sentences(text)
    assert [word for sentence in every for word in words(sentence)] == words(text)
    assert all(0 < len(words(sentence)) <= LONGEST for sentence in every)


def test_sentences_end_at_their_punctuation_but_not_at_abbreviations():
    every = [
        "Dear Mr. A. Smith, e.g. this costs 3.50 now.",
        '"Really?"',
        "Yes!",
        "好的。",
        "再见。",
        "No stop here",
        "last",
    ]
    assert (
        sentences('Dear Mr. A. Smith, e.g. this costs 3.50 now. "Really?" Yes! 好的。再见。\nNo stop here\nlast')
        == every
    )
    assert list(map(len, map(words, sentences("word " * 90)))) == [40, 40, 10]


# --- features ---------------------------------------------------------------------------------------------------------


def test_features_are_the_word_and_its_runs_of_characters():
    def number(run):
        return zlib.crc32(run.encode())

    runs = ["<lost>", "<lo", "los", "ost", "st>", "<los", "lost", "ost>", "<lost", "lost>"]
    assert features("Lost!") == tuple(map(number, runs))
    assert features("😀") == (number("<😀>"),) and features("??") == (number("<??>"), number("<??"), number("??>"))
    assert plain("ÉCOLE") == "ecole" and plain("Don’t") == "don't" and plain("ไม่") == "ไม่"
    assert len({features("404")[0], features("500")[0]}) == 2 and set(features("404")[1:]) == set(features("500")[1:])


def test_features_are_the_same_in_another_process():
    code = "from mapsto.texts.features import features; print(features('naïve'), features('你'))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**_environment(), "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }
    assert outputs == {f"{features('naïve')} {features('你')}\n"}


def _environment():
    import os

    return os.environ


def test_a_lone_surrogate_and_a_long_piece_have_features():
    assert len(features("\ud800")) >= 1
    assert 1 < len(features("x" * 100_000)) < 60 and features("x" * 100_000)[0] != features("x" * 99_999)[0]


def test_numbers_say_which_word_a_feature_comes_from():
    x, places = numbers([["my", "card"], [], ["card"]])
    assert x.dtype == np.int64 and (x[1] == 0).all() and x.shape == places.shape
    assert x[0][places[0] == 1].tolist() == list(features("card")) == x[2][x[2] > 0].tolist()


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one text", "a single text"),
        (b"bytes", "bytes"),
        (5, "int 5"),
        (None, "NoneType"),
        ([], "no text"),
        ({"a": "b"}, "dict"),
        ({"a", "b"}, "set"),
        (["a", None], "missing text .* position 1"),
        (["a", float("nan")], "missing text"),
        (pd.Series(["a", pd.NA], dtype="string"), "missing text"),
        ([pd.NaT, "a"], "missing text .* position 0"),
        (["a", 5], "int 5 at position 1"),
        (["a", b"b"], "decode it"),
        (["a", ["b"]], "list"),
        (["a", np.array(["b", "c"])], "ndarray"),
        (np.array([["a", "b"]]), r"shape \(1, 2\)"),
        (pd.DataFrame({"a": ["x"], "b": ["y"]}), "column"),
    ],
)
def test_what_is_no_list_of_texts_is_refused_in_one_sentence(texts, message):
    with pytest.raises(MapstoError, match=f"^texts: got .*{message}") as caught:
        read_texts(texts)
    assert str(caught.value).count(". ") == 0 and str(caught.value).endswith(".")


def test_texts_are_read_from_lists_arrays_and_columns():
    for texts in (["a", "b"], ("a", "b"), np.array(["a", "b"]), pd.Series(["a", "b"], index=[7, 3]), iter(["a", "b"])):
        assert read_texts(texts) == ["a", "b"]
    assert read_texts(pd.DataFrame({"t": ["a", "b"]})) == read_texts(np.array([["a"], ["b"]])) == ["a", "b"]
    assert type(read_texts(np.array(["a"]))[0]) is str


def test_other_scripts_are_named():
    assert [script(text) for text in ("abc где", "где abc да", "漢字", "ひらがな", "한국어", "العربية", "1 😀")] == [
        "Latin", "Cyrillic", "Han", "Japanese", "Hangul", "Arabic", ""
    ]  # fmt: skip
    assert other_scripts(["abc", "1", "é"], "text") == []
    assert "2 texts are not in Latin letters (Cyrillic, Han)" in other_scripts(["где", "a", "漢字"], "text")[0]


# --- tasks ------------------------------------------------------------------------------------------------------------

SOME = [
    f"{word} number {i} is {'very ' * (i % 3)}good" for word in ("apple", "bread", "cheese", "duck") for i in range(6)
]
KINDS = [kind for kind in ("a", "b", "c", "d") for _ in range(6)]


def test_tasks_of_texts_hold_the_features_of_texts_of_their_classes():
    mixed = np.random.default_rng(0).permutation(24)
    texts, kinds = [SOME[i] for i in mixed], [KINDS[i] for i in mixed]
    tasks = Texts(texts, kinds, ways=2, shots=2, queries=3, splits={"train": ["a", "c"], "test": ["b", "d"]})
    width = tasks.x.shape[1]
    rows = {}
    for text, kind in zip(texts, kinds, strict=True):
        of_text = [number for word in words(text) for number in features(word)]
        rows[tuple(of_text + [0] * (width - len(of_text)))] = kind
    assert len(rows) == 24 and tasks.x.dtype == torch.int64
    for split, kinds in (("train", {"a", "c"}), ("test", {"b", "d"})):
        batch = tasks.of(split).batch(0, 5)
        for x, y in ((batch.support.x, batch.support.y), (batch.query.x, batch.query.y)):
            assert x.dtype == torch.int64
            for task, labels in zip(x, y, strict=True):
                found = {(rows[tuple(row.tolist())], int(label)) for row, label in zip(task, labels, strict=True)}
                assert len(found) == 2 and {kind for kind, _ in found} == kinds
        assert batch.support.w.dtype == torch.float32
        torch.testing.assert_close(batch.support.w.sum(1), torch.ones(5))


def test_a_column_of_a_file_gives_the_same_tasks_as_lists(tmp_path):
    pd.DataFrame({"body": SOME, "kind": KINDS}).to_csv(tmp_path / "t.csv.gz", index=False)
    options = {"ways": 2, "shots": (1, 2), "queries": 2, "splits": (0.5, 0.0, 0.5)}
    one = Texts(tmp_path / "t.csv.gz", "kind", column="body", **options).batch(3, 2)
    two = Texts(SOME, KINDS, **options).batch(3, 2)
    assert torch.equal(one.support.x, two.support.x) and torch.equal(one.query.y, two.query.y)


def test_hidden_words_lose_all_their_features_and_others_none():
    text = "every single word here has several features"
    whole = Texts([text] * 8, list("aaaabbbb"), ways=2, shots=2, queries=2, splits=(1, 0, 0))
    tasks = Texts([text] * 8, list("aaaabbbb"), ways=2, shots=2, queries=2, splits=(1, 0, 0), hidden=1.0)
    x, places, shares = tasks.batch(0, 200).query.x, tasks.places[0], []
    for row in x.flatten(0, 1):
        present = row > 0
        assert torch.equal(row[present], whole.x[0][present])
        seen = [bool(present[places == j].all()) for j in range(7)]
        assert seen == [bool(present[places == j].any()) for j in range(7)]
        shares.append(sum(seen) / 7)
    assert abs(np.mean(shares) - 0.5) < 0.04 and np.mean([share in (0, 1) for share in shares]) > 0.15
    assert torch.equal(tasks.batch(5, 2).query.x, tasks.batch(5, 2).query.x)
    assert (whole.batch(0, 9).query.x > 0).sum() == 9 * 4 * (whole.x[0] > 0).sum()


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ((["a", None], [0, 1]), "texts"),
        ((["a", "b"], [0]), "labels"),
        ((["a", "b"], [0, None]), "labels"),
        ((["a", "b"], np.array([0, "x"], object)), "labels"),
        ((["a", "b"], ["x", "y"], 2, 1, 1), "labels"),
        ((["a", "b"], ["x", "y"], 5), "labels"),
        ((["a", "b"], ["x", "y"], 2, 1, 1, "text", (1, 0, 0), 0, 1.5), "hidden"),
    ],
)
def test_texts_that_make_no_tasks_are_refused(arguments, name):
    with pytest.raises(MapstoError, match=f"^{name}: "):
        Texts(*arguments)


def test_a_file_without_the_column_is_refused(tmp_path):
    pd.DataFrame({"body": SOME, "kind": KINDS}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(MapstoError, match="column: "):
        Texts(tmp_path / "t.csv", "kind")
    with pytest.raises(MapstoError, match="labels: "):
        Texts(tmp_path / "t.csv", column="body")
    with pytest.raises(MapstoError, match="file: "):
        Texts(tmp_path / "none.csv")


# --- the encoder ------------------------------------------------------------------------------------------------------


def encoder(**sizes):
    torch.manual_seed(0)
    model = TextEncoder(**{"buckets": 50, "width": 6, "sketch": 16, "mixture": 0.3} | sizes)
    torch.nn.init.normal_(model.weights.weight)
    return model


def test_the_encoder_is_the_formula():
    model, x = encoder(), torch.tensor([[3, 60, 7, 0], [9, 0, 0, 0]])
    e, (a, b) = model.embedding.weight, model.weights.weight.unbind(1)
    rows = [[1 + f % 49 for f in (3, 60, 7)], [10]]
    for row, out in zip(rows, model(x), strict=True):
        learned = sum(a[f].exp() * e[f] for f in row)
        lexical = torch.zeros(16)
        for f in row:
            lexical[model.place[f]] += b[f].exp() * model.sign[f]
        m = torch.tensor(0.3)
        parts = torch.cat([m.sqrt() * learned / learned.norm(), (1 - m).sqrt() * lexical / lexical.norm()])
        torch.testing.assert_close(out, model.log_scale.exp() * parts)


def test_padding_order_and_nothing_change_nothing():
    model = encoder()
    x = torch.tensor([[3, 60, 7, 0, 0], [0, 7, 0, 60, 3], [0, 0, 0, 0, 0]])
    one, two, none = model(x)
    torch.testing.assert_close(one, two)
    torch.testing.assert_close(one.norm(), model.log_scale.exp())
    assert (none == 0).all()


def test_the_sums_of_a_text_are_those_of_its_words_added():
    model = encoder()
    x = torch.tensor([[3, 60, 7], [3, 60, 0], [7, 0, 0]])
    whole, first, second = model.sums(x)
    torch.testing.assert_close(whole, first + second)
    torch.testing.assert_close(model.embed(model.sums(x)), model(x))


def test_places_and_signs_are_spread_over_the_sketch():
    model = TextEncoder(buckets=2**14, width=2, sketch=64)
    counts = torch.bincount(model.place, minlength=64)
    assert counts.min() > 150 and counts.max() < 400 and abs(model.sign.mean()) < 0.05


def test_an_empty_text_among_others_gives_finite_gradients_and_training_learns():
    tasks = Texts(SOME, KINDS, ways=2, shots=1, queries=2, splits=(1, 0, 0), hidden=1.0)
    learner = mt.learners.PrototypicalNetwork(encoder(buckets=512), ways=2)
    losses = [step.metrics["loss"] for step in mt.train(learner, tasks, steps=30, batch=4, lr=0.05)]
    assert np.isfinite(losses).all() and np.mean(losses[-10:]) < 0.8 * np.mean(losses[:10])


@pytest.mark.parametrize("sizes", [{"buckets": 1}, {"width": 0}, {"sketch": 0}, {"mixture": 1.1}])
def test_sizes_and_shares_of_an_encoder_are_checked(sizes):
    with pytest.raises(MapstoError, match=f"^{next(iter(sizes))}: "):
        TextEncoder(**sizes)
