"""What `make play` exports: the modules answer as the classifiers do, and their graphs as the modules do.

The shipped graphs are tested in `test_play.py`; these tests fail if the next ones would be wrong.
"""

import numpy as np
import pytest
import torch
from test_play import TOLERANCE, drawings, onnxruntime, table
from torch import Tensor, nn
from torch.export import Dim
from torch.utils import _pytree as pytree

import mapsto as mt
from mapsto import weights
from mapsto.explainers.coalitions import design
from mapsto.play import graphs, images, tables


@pytest.mark.parametrize("k", [2, 3])
def test_the_modules_for_tables_predict_and_explain_as_the_classifier_does(k: int) -> None:
    X, y = table(33, 4, k)
    clf = mt.TableClassifier().fit(X[:30], y[:30])
    pretrained = weights.load(members=tables.MEMBERS)
    mapping = tables.Given(pretrained.learner, pretrained.explainer, doubt=pretrained.doubt).eval()
    support = clf.support_
    state = tables.Fit(mapping)(support.x, support.y, support.w, torch.arange(k))
    spec = pytree.tree_structure(mapping.learner.read(mt.Examples(*(part[None] for part in support)), k))
    x = clf._tensor(clf._numbers(clf._columns_of_fit(X[30:])))
    values, base, errors = tables.Explain(mapping, spec)(x, *design(4), state)
    expected = clf.explain(X[30:])
    assert np.abs(expected.values).max() > 0.01
    np.testing.assert_allclose(values.detach(), expected.values, atol=TOLERANCE)
    np.testing.assert_allclose(base.detach(), expected.base_values, atol=TOLERANCE)
    np.testing.assert_allclose(errors.detach(), expected.errors, atol=TOLERANCE)


def test_the_module_for_images_classifies_and_explains_as_the_classifier_does() -> None:
    support, query = drawings()
    expected = mt.ImageClassifier().fit(support, np.arange(5)).explain(query[:1])
    module = images.OneShot(weights.load_images(ways=images.WAYS)).eval()
    p, values, base, trust = (part.detach() for part in module(support, torch.full((5,), 0.2), query[:1]))
    assert np.abs(expected.values).max() > 0.05
    np.testing.assert_allclose(p, expected.predictions, atol=TOLERANCE)
    np.testing.assert_allclose(values, expected.values, atol=TOLERANCE)
    np.testing.assert_allclose(base, expected.base_values, atol=TOLERANCE)
    np.testing.assert_allclose(trust, expected.trust, atol=TOLERANCE)


class Hard(nn.Module):
    """The operators that the exporter lacks or translates wrongly."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        positive = x.mT @ x + torch.diag_embed(torch.ones_like(x[0]))
        return torch.linalg.inv_ex(positive).inverse, x.repeat_interleave(x.shape[1], 0)


@pytest.mark.long
@pytest.mark.filterwarnings("ignore:.*LeafSpec:FutureWarning")  # torch's own, while it exports
def test_an_inverse_and_repeated_rows_are_translated_for_any_size() -> None:
    pytest.importorskip("onnxscript")
    axes = ({0: Dim.DYNAMIC, 1: Dim.DYNAMIC},)
    raw = graphs.graph(Hard(), (torch.randn(6, 3),), axes, ["x"], ["inverse", "repeated"], graphs.Weights())
    session = onnxruntime.InferenceSession(raw)
    for n, d in ((6, 3), (40, 8)):
        x = torch.randn(n, d, generator=torch.Generator().manual_seed(n)) * torch.logspace(0, 1, d)
        inverse, repeated = session.run(None, {"x": x.numpy()})
        np.testing.assert_allclose(inverse, Hard()(x)[0], rtol=1e-3, atol=1e-6)
        np.testing.assert_array_equal(repeated, Hard()(x)[1])
