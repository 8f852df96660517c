"""The names that outside users rely on, and what it costs to import them."""

import inspect
import json
import subprocess
import sys
from operator import attrgetter
from typing import get_origin

import pytest

import mapsto as mt

OWN = {
    "Episode",
    "Examples",
    "Explanation",
    "ImageClassifier",
    "Joint",
    "MapstoError",
    "PupilTracer",
    "TableClassifier",
    "TableRegressor",
    "TextClassifier",
    "as_module",
    "evaluate",
    "examples",
    "train",
}
ROOMS = {
    "episodes": """
        Episode Examples examples over_tasks unstack
    """,
    "explainers": """
        Anchors BayesianShapley Counterfactual ExpectedGradients Explainer Game GameExplainer GradCAM Gradient
        HiResCAM InputXGradient IntegratedGradients Interactions LIME Occlusion PermutationShapley Shapley
        ShapleyInteractions Smooth SurrogateTree View ViewExplainer ale attention_rollout global_importance
        ice knn_shapley partial_dependence patches superpixels task_influence
    """,
    "explainers.learned": """
        AmortisedShapley Columns DistilledShapley INVASE Interpreter L2X LeaveOneOut Patches Players PolicyGradient
        REALX
    """,
    "figures": """
        attributions bar beeswarm draw heat influence reliability scatter waterfall
    """,
    "joint": """
        Doubting Joint SelfExplaining Tuning
    """,
    "learners": """
        ANML ANP CNP DKT Fixed Hypernetwork InContext InEpisode LearnedOptimizer Learner MAML MatchingNetwork
        MemoryFusion MetaGAN MetaLSTM MetaNetwork MultiTask NP PrototypicalNetwork Regularised Reptile
        RidgeHead SNAIL SiameseNetwork VSML
    """,
    "measures": """
        EvalX FGSM LinearRegression NoisyLinear PGD agreement auroc by_outputs by_state complexity
        estimate evaluate hiding_infidelity infidelity insertion_deletion log_likelihoods max_sensitivity
        query_stability randomised_model rationale recovery reliability selection shuffled_labels surprise
        task_map teaching_loss teaching_stability trust
    """,
    "measures.audit": """
        bias check eval_x label_leak
    """,
    "models": """
        AlexNet Conv3 Conv4 GaussianPolicy KernelAttention MLP MomentNetwork NewtonNetwork Recurrent ResNet12 SENN
        SetTransformer SoftDecisionTree TextEncoder VGG
    """,
    "penalties": """
        Balance ConceptStability Sparsity Stability TotalVariation TreeLikeness
    """,
    "reports": """
        table task write_film
    """,
    "seeing": """
        attended changes cka cka_over embedding features_over film gradient_histograms iterates
        looks_like maximise probes reliance rsa rsa_over unit units variance_explained
    """,
    "tasks": """
        Arrays DemonstrationLog Demonstrations DrawnCharacters Environment GaussianProcesses Gymnasium
        ImageFolder ImageMinibatches Imagined Linear LinearStream Logistic MetaWorld Minibatches Mislabelled
        Navigation Omniglot Planted PlantedStrokes PupilLog Pupils Rollouts Sinusoids Table TableFamily
        TableMinibatches Tables Tasks Texts Trajectories WithNoise XAITris
    """,
    "training": """
        load_weights meta_gradient phases train
    """,
    "views": """
        Game View as_module feature game model query state support support_feature support_game taught weights
    """,
    "weights": """
        load
    """,
}
SLOW = ("shap", "captum", "lightning_fabric", "lightning", "matplotlib", "pandas", "sklearn", "tensorboard", "rich")


PUBLIC = [(room, name) for room, names in ROOMS.items() for name in names.split()]


def test_the_public_names_are_these() -> None:
    outer = {room for room in ROOMS if "." not in room}
    assert mt.__all__ == sorted(OWN | outer)
    assert set(dir(mt)) == OWN | outer | {"__version__"}
    assert sorted((room, name) for room in ROOMS for name in attrgetter(room)(mt).__all__) == sorted(PUBLIC)


def test_the_public_names_are_few() -> None:
    assert len({name for _, name in PUBLIC} - OWN) <= 201


def test_one_name_is_one_thing_in_every_room() -> None:
    members: dict[str, object] = {name: getattr(mt, name) for name in OWN}
    for room, name in {*PUBLIC} - {("figures", "reliability")}:  # the picture of the measure of this name
        member = getattr(attrgetter(room)(mt), name)
        assert members.setdefault(name, member) is member, f"{room}.{name}"


@pytest.mark.parametrize(("room", "name"), PUBLIC)
def test_a_public_name_begins_with_one_sentence(room: str, name: str) -> None:
    member = getattr(attrgetter(room)(mt), name)
    if get_origin(member) is None:  # not the type of a function
        summary = (inspect.getdoc(member) or "").partition("\n\n")[0]
        assert summary.endswith((".", "?")) and len(summary) > 20


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Magic'"):
        mt.Magic  # noqa: B018


def test_the_version_is_that_of_the_distribution() -> None:
    from importlib.metadata import version

    assert version("mapsto") == mt.__version__


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_costs_little_beside_torch() -> None:
    """Processor time, of which other work on the machine takes nothing: 1 ms at most beside a second."""
    clock = "import time; start = time.process_time(); import torch; middle = time.process_time(); import mapsto; "
    torch, mapsto = map(float, _run(clock + "print(middle - start, time.process_time() - middle)").split())
    assert 0 < mapsto < 0.3 * torch


def test_the_core_needs_no_slow_package() -> None:
    core = "mapsto.learners, mapsto.views, mapsto.explainers, mapsto.models"
    loaded = json.loads(_run(f"import sys, json, mapsto; {core}; print(json.dumps(list(sys.modules)))"))
    assert "mapsto.learners" in loaded and "torch" in loaded
    assert not {name.partition(".")[0] for name in loaded} & set(SLOW)
