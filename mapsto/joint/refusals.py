"""What a learner and its explainers must fulfil."""

from collections.abc import Callable, Mapping

from .. import checks
from ..adaptation import chance
from ..adaptation.learner import Learner
from ..explainers.learned.explainer import LearnedExplainer, Prediction


def steady(predict: Callable[[], Prediction]) -> Prediction:
    """Return the prediction, or raise MapstoError if it is random or that for the first row depends on the others."""
    with chance.refused("learner"):
        prediction = predict()
    if len(prediction.x) < 2 or not checks.readable(prediction.outcome):
        return prediction
    alone, together = prediction.ask(prediction.x[:1]), prediction.outcome[:1]
    near = 1e-4 + 1e-3 * together.abs()  # other sizes of a batch round differently
    apart = bool(((alone - together).abs() > near).any())
    got = "one whose prediction for a row depends on the other rows"
    checks.expect(not apart, "learner", got, "one that predicts each row by itself")
    return prediction


def refuse_unfit(explainers: Mapping[str, LearnedExplainer], learner: Learner) -> None:
    """Raise MapstoError unless the explainers are explainer networks with names, and fit the kind of the outcome."""
    named = isinstance(explainers, Mapping) and len(explainers) > 0
    checks.expect(named, "explainers", f"a {type(explainers).__name__}", "at least one explainer by name, in a dict")
    for name, explainer in explainers.items():
        kind, network = type(explainer).__name__, isinstance(explainer, LearnedExplainer)
        checks.expect(network, "explainers", f"a {kind}", "explainer networks of mapsto.explainers.learned")
        fits = isinstance(name, str) and name.isidentifier() and name != "learner"
        checks.expect(fits, "explainers", f"the name {name!r}", "a word other than 'learner'")
        fits = not explainer.by_class or learner.criterion.outcome == "classes"
        checks.expect(
            fits, "outputs", f"None for {type(learner).__name__} with loss {learner.loss_name!r}",
            "the number of outcomes, because only classes have means",
        )  # fmt: skip
