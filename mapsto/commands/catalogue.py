"""What `mapsto list` shows: every learner, explainer, source of tasks, network, measure and pretrained model.

    python -m mapsto.commands.catalogue        # writes catalogue.json, after a docstring or a name has changed

The idea is the first sentence of the docstring, the paper its first citation. Presets are named arguments of a class.
Other names are those of the literature and of other libraries. The file lets the command answer without the library.
"""

import importlib
import inspect
import json
import re
import sys
from collections.abc import Iterator
from operator import attrgetter
from typing import Any, NamedTuple

from ..adaptation.differentiation import Differentiation, Implicit
from ..learners import Learner
from .list import CATALOGUE, Entry


class _Preset(NamedTuple):
    name: str
    of: str
    about: str
    paper: str
    arguments: dict[str, Any]


PRESETS = (
    _Preset(
        "FOMAML",
        "MAML",
        "MAML that treats inner gradients as constants.",
        "Finn et al. 2017, §5.2",
        {"first_order": True},
    ),
    _Preset("ANIL", "MAML", "MAML that adapts the head only.", "Raghu et al. 2020", {"adapt": "head"}),
    _Preset("BOIL", "MAML", "MAML that adapts all but the head.", "Oh et al. 2021", {"adapt": "body"}),
    _Preset(
        "CAVIA",
        "MAML",
        "MAML that adapts a parameter `context` from 0, and learns the others.",
        "Zintgraf et al. 2019",
        {"adapt": ["context"], "learn": ["net.*"]},
    ),
    _Preset(
        "iMAML",
        "MAML",
        "MAML whose gradient depends on where adaptation ends, not on the way there.",
        "Rajeswaran et al. 2019",
        {"differentiation": Implicit(), "proximal": 1.0},
    ),
    _Preset(
        "MAML++ rates",
        "MAML",
        "MAML that learns a rate for each layer and step.",
        "Antoniou et al. 2019, §4",
        {"learn_lr": "layer-step"},
    ),
    _Preset("OML", "ANML", "ANML without its gate.", "Javed & White 2019", {"gate": None}),
    _Preset("Meta-SGD", "MAML", "MAML that learns a rate for each parameter.", "Li et al. 2017", {"learn_lr": True}),
)
OTHER_NAMES = {  # of the literature and of other libraries: the room and our code
    "ActivationMaximisation": ("seeing", "maximise"),
    "ALE": ("explainers", "ale"),
    "AttentionRollout": ("explainers", "attention_rollout"),
    "CAM": ("explainers", "HiResCAM()"),
    "DataShapley": ("views", "support_game"),
    "BanzhafValue": ("explainers", 'Interactions("BII", order=1)'),
    "ExactSHAP": ("explainers", "Shapley()"),
    "FastSHAP": ("explainers", "learned.AmortisedShapley"),
    "FeatureAblation": ("explainers", "Occlusion()"),
    "Grad-CAM": ("explainers", "GradCAM()"),
    "GradientSHAP": ("explainers", "ExpectedGradients"),
    "ICE": ("explainers", "ice"),
    "InfluenceFunctions": ("views", "weights"),
    "KernelSHAP": ("explainers", "Shapley(samples=2048)"),
    "LimeTabular": ("explainers", "LIME.of_table"),
    "NeuralProcess": ("learners", "NP"),
    "PDP": ("explainers", "partial_dependence"),
    "PermutationSHAP": ("explainers", "PermutationShapley()"),
    "ProtoNet": ("learners", "PrototypicalNetwork"),
    "R2-D2": ("learners", "RidgeHead"),
    "Saliency": ("explainers", "Gradient()"),
    "ShapleyValueSampling": ("explainers", "PermutationShapley()"),
    "SmoothGrad": ("explainers", "Smooth(Gradient())"),
    "VanillaGradient": ("explainers", "Gradient()"),
}
_ROOMS = {
    "learner": "learners",
    "explainer": "explainers",
    "explainer network": "explainers.learned",
    "tasks": "tasks",
    "model": "models",
    "penalty": "penalties",
    "differentiation": "adaptation.differentiation",
    "optimizer": "adaptation.inner",
    "estimator": "training.estimators",
    "pretrained": "estimators",
}
_QUESTIONS = {  # public names that no base class tells apart, by room and by the question that they answer
    "explainer": {
        "scores sets of parts": ("Interactions", "ShapleyInteractions"),
        "explains a table under any model": ("Explainer",),
        "values teaching examples": ("knn_shapley",),
        "follows attention": ("attention_rollout",),
        "divides an image into parts": ("patches", "superpixels"),
        "What does the model go by overall?": ("ale", "global_importance", "ice", "partial_dependence"),
        "Which tasks taught it?": ("task_influence",),
    },
    "measure": {
        "Does it predict well?": ("evaluate", "log_likelihoods", "reliability"),
        "Are the reasons the true ones?": ("recovery", "selection", "agreement"),
        "Does the score need these parts?": (
            "insertion_deletion",
            "rationale",
            "infidelity",
            "hiding_infidelity",
            "EvalX",
        ),
        "fills hidden parts": ("NoisyLinear", "LinearRegression"),
        "Do the reasons depend on the model?": ("randomised_model", "shuffled_labels"),
        "Are the reasons stable?": ("max_sensitivity", "query_stability", "teaching_stability"),
        "Are the reasons simple?": ("complexity",),
        "Do the reasons beat baselines?": ("trust",),
        "What breaks the model?": ("FGSM", "PGD"),
        "Is the model sound?": ("audit.check",),
        "Is it fair?": ("audit.bias",),
        "Do learned reasons tell the answer by their choice?": ("audit.eval_x", "audit.label_leak"),
        "Which tasks are alike?": ("task_map",),
    },
    "seeing": {
        "How did it learn?": ("film", "iterates", "gradient_histograms", "changes"),
        "What do its layers hold?": ("features_over", "embedding", "cka", "rsa", "probes", "variance_explained"),
        "What do its units respond to?": ("maximise", "units"),
        "What does an answer rest on?": ("attended", "reliance", "looks_like"),
    },
}
_PACKAGES = {"explainer": "explainers", "measure": "measures", "seeing": "seeing"}
CITED = r"[A-Z][\w’'-]+(?:,? (?:&|and|et al\.|[A-Z][\w’'-]+))*,? \(?(?:19|20)\d\d"
_FAMILIES = {
    "Differentiation": "differentiates the inner loop",
    "InnerOptimizer": "steps of the inner loop",
    "Estimator": "estimates the meta-gradient",
    "ViewExplainer": "moves the input",
    "GameExplainer": "hides parts of the input",
    "LearnedExplainer": "reads the model's features",
    "Players": "divides a row into parts",
    "TableExplainer": "asks about a table's rows",
    "Tasks": "source of episodes",
    "TableEstimator": "reads a table",
    "ImageClassifier": "reads images",
    "TextClassifier": "reads texts",
    "PupilTracer": "reads logs of answers",
    "Penalty": "reads the adapted model",
    "Module": "network",
}


def entries() -> Iterator[Entry]:
    """Yield all entries, kind by kind, then the presets and the names that others use."""
    for kind in dict.fromkeys([*_ROOMS, *_QUESTIONS]):
        yield from _of_room(kind)
    for preset in PRESETS:
        arguments = ", ".join(f"{name}={_as_code(value)}" for name, value in preset.arguments.items())
        yield Entry("preset", preset.name, f"{preset.of}({arguments})", preset.about, preset.paper, arguments)
    yield from map(_other_name, OTHER_NAMES)


def _other_name(name: str) -> Entry:
    room, code = OTHER_NAMES[name]
    member = attrgetter(code.partition("(")[0])(importlib.import_module(f"mapsto.{room}"))
    return Entry("other name", name, f"{room}.{code}", _sentence(member.__doc__), _paper(member), "")


def _of_room(kind: str) -> Iterator[Entry]:
    """Yield the classes of a room that have a family, by name; then the names that answer a question."""
    if kind in _ROOMS:
        module = importlib.import_module(f"mapsto.{_ROOMS[kind]}")
        for name in sorted(getattr(module, "__all__", vars(module))):
            member = getattr(module, name)
            if not (inspect.isclass(member) and member.__module__.startswith(module.__name__)):
                continue
            if not inspect.isabstract(member) and (family := _family(member)):
                yield _entry(kind, name, family, member)
    for family, names in _QUESTIONS.get(kind, {}).items():
        module = importlib.import_module(f"mapsto.{_PACKAGES[kind]}")
        yield from (_entry(kind, name, family, attrgetter(name)(module)) for name in names)


def _entry(kind: str, name: str, family: str, member: Any) -> Entry:
    return Entry(kind, name, family, _sentence(member.__doc__), _paper(member), _arguments(member))


def _as_code(value: Any) -> str:
    return f"{type(value).__name__}()" if isinstance(value, Differentiation) else repr(value)


def _family(kind: type) -> str:
    if issubclass(kind, Learner):
        return kind.family
    return next((_FAMILIES[base.__name__] for base in kind.__mro__ if base.__name__ in _FAMILIES), "")


def _sentence(doc: str | None) -> str:
    return " ".join((doc or "").partition("\n\n")[0].split())


def _paper(member: Any) -> str:
    """Return the first citation in the docstring, or else in the module's docstring, from its authors to its year."""
    for doc in (member.__doc__, sys.modules[member.__module__].__doc__):
        citation = re.search(CITED, " ".join((doc or "").split()))
        if citation:
            return citation[0].replace("(", "")
    return ""


def _arguments(member: Any) -> str:
    return ", ".join(str(p).partition(":")[0] for p in inspect.signature(member).parameters.values())


def text() -> str:
    """Return the catalogue as JSON, an entry a line."""
    lines = ",\n".join(json.dumps(entry._asdict(), ensure_ascii=False) for entry in entries())
    return f"[\n{lines}\n]\n"


if __name__ == "__main__":
    CATALOGUE.write_text(text(), encoding="utf-8")
