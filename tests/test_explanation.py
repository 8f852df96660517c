"""Explanations: parts that belong together, and shap's plots drawn from them."""

import builtins

import numpy as np
import pytest

from mapsto.explanation import Explanation


def make(n=6, d=3, k=2, **parts):
    generator = np.random.default_rng(0)
    given = {
        "values": generator.normal(size=(n, d, k)),
        "base_values": np.tile(generator.normal(size=k), (n, 1)),
        "data": generator.normal(size=(n, d)),
        "feature_names": [f"c{j}" for j in range(d)],
        "class_names": list(range(k)),
    }
    return Explanation(**given | parts)


def test_predictions_are_base_plus_values():
    e = make()
    assert np.abs(e.values).max() > 0.1
    expected = [[e.base_values[i, c] + sum(e.values[i, :, c]) for c in range(2)] for i in range(6)]
    np.testing.assert_allclose(e.predictions, expected)


def test_importance_is_the_mean_size_of_the_values():
    e = make()
    assert e.importance.shape == (3, 2)
    np.testing.assert_allclose(e.importance[1, 0], np.mean([abs(v) for v in e.values[:, 1, 0]]))


@pytest.mark.parametrize("rows", [2, slice(1, 3), [4, 0], np.arange(6) % 2 == 0])
def test_some_rows_keep_their_reasons(rows):
    e = make(codes=np.arange(18.0).reshape(6, 3), trust=np.arange(6.0) / 10)
    part, expected = e[rows], np.arange(6)[rows]
    np.testing.assert_array_equal(part.values, e.values[np.atleast_1d(expected)])
    np.testing.assert_array_equal(part.codes, e.codes[np.atleast_1d(expected)])
    np.testing.assert_array_equal(part.trust, np.atleast_1d(expected) / 10)
    assert len(part) == np.size(expected)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("base_values", np.zeros((6, 3))),
        ("data", np.zeros((5, 3))),
        ("feature_names", ["a"]),
        ("class_names", ["yes", "no", "maybe"]),
        ("codes", np.zeros((6, 2))),
        ("trust", np.zeros(5)),
    ],
)
def test_parts_of_another_shape_are_refused_by_name(name, part):
    with pytest.raises(ValueError, match=f"^{name}: got "):
        make(**{name: part})


def test_shap_gets_the_same_numbers():
    pytest.importorskip("shap")
    e = make(data=np.array([["north", 1.5, True]] * 6, object), codes=np.arange(18.0).reshape(6, 3))
    s = e.to_shap()
    assert s.shape == (6, 3, 2)
    np.testing.assert_array_equal(s[:, :, 1].values, e.values[:, :, 1])
    np.testing.assert_array_equal(s[:, :, 1].base_values, e.base_values[:, 1])
    np.testing.assert_array_equal(s.data, e.codes)
    assert s[0, :, 1].display_data.tolist() == ["north", 1.5, True]
    assert s.output_names == ["0", "1"]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning", "ignore::PendingDeprecationWarning")
def test_shap_draws_its_plots():
    shap = pytest.importorskip("shap")
    import matplotlib.pyplot as plt

    with plt.rc_context({"backend": "Agg"}):
        s = make(30).to_shap()
        beeswarm = shap.plots.beeswarm(s[:, :, 1], show=False)
        assert sorted(t.get_text() for t in beeswarm.get_yticklabels()) == ["c0", "c1", "c2"]
        plt.close("all")
        waterfall = shap.plots.waterfall(s[0, :, 1], show=False)
        assert any("c0" in t.get_text() for t in waterfall.get_yticklabels())
        plt.close("all")


def test_without_shap_one_sentence_says_what_to_install(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "shap":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    with pytest.raises(ImportError, match=r"mapsto\[plots\]"):
        make().to_shap()
