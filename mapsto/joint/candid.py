"""Let a fraction of the explainers' gradient reach the learner: the values stay the same, their gradient is scaled."""

from torch import Tensor
from torch.utils import _pytree as pytree

from ..explainers.learned.explainer import Prediction


def candid(prediction: Prediction, candour: float) -> Prediction:
    """Return a prediction whose gradient is multiplied by `candour`."""
    if not candour:
        return prediction

    def through(value: Tensor) -> Tensor:
        return value.detach() + candour * (value - value.detach())

    read = (prediction.outcome, prediction.features, prediction.classes)
    outcome, features, classes = pytree.tree_map(through, read)
    ask = prediction.ask
    return prediction._replace(outcome=outcome, features=features, classes=classes, ask=lambda rows: through(ask(rows)))
