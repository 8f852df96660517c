"""The command line: what each command prints, one sentence for every mistake, and what is not imported."""

import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import get_origin

import numpy as np
import pandas as pd
import pytest
import yaml
from torch import nn
from typing_extensions import is_protocol

import mapsto as mt
from mapsto import __version__
from mapsto.cli import COMMANDS, main, sentence
from mapsto.commands import catalogue, configuration
from mapsto.commands import eval as eval_command
from mapsto.commands.catalogue import OTHER_NAMES, PRESETS, entries
from mapsto.commands.list import CATALOGUE
from mapsto.commands.options import as_json
from mapsto.commands.train import parser
from mapsto.errors import MapstoError
from mapsto.explainers.rules.surrogate_tree import Surrogate
from mapsto.learners import ANML, MAML, Learner
from mapsto.measures import evaluate
from mapsto.models import MLP
from mapsto.tasks.source import Tasks
from mapsto.training.run import read_config, read_tensors
from mapsto.training.settings import Settings

WAVES = [
    *("--learner", "MAML", "--learner.body", "MLP", "--learner.body.widths", "[1,4,1]", "--learner.loss", "mse"),
    *("--tasks", "Sinusoids", "--tasks.shots", "3", "--steps", "4", "--batch", "2"),
]


def call(capsys: pytest.CaptureFixture, *args: str) -> tuple[int, str, str]:
    code = main(list(args))
    out, err = capsys.readouterr()
    return code, out, err


def outside(*args: str) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "mapsto.cli", *args], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize("command", [[], ["explain"]])
def test_help_names_every_command_and_imports_nothing_heavy(command: list[str]) -> None:
    code = f"import sys; from mapsto.cli import main; main({[*command, '--help']}); print(sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    text, _, modules = done.stdout.rpartition("\n[")
    assert command or all(f"  {name} " in text for name in COMMANDS)
    assert not {"torch", "numpy", "rich", "jsonargparse"} & {
        m.strip("' ").partition(".")[0] for m in modules.split(",")
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example_and_json(command: str, capsys: pytest.CaptureFixture) -> None:
    code, out, err = call(capsys, command, "--help")
    assert code == 0 and err == ""
    assert "example" in out and f"mapsto {command}" in out and "--json" in out and "--seed" in out


@pytest.mark.parametrize("command", [command for command in COMMANDS if command != "train"])
def test_help_says_the_default_of_each_option(command: str) -> None:
    options = importlib.import_module(f"mapsto.commands.{command}").parser()
    told = {
        action.dest: match[1] for action in options._actions if (match := re.search("default: ([^)]+)", action.help))
    }
    defaults = {name: options.get_default(name) for name in told}
    words = {"this folder": Path()}
    assert told["seed"] == "0"
    for name, default in defaults.items():
        assert default is None or words.get(told[name], told[name]) in (default, str(default)), name


def test_a_command_measures_and_trains_with_the_defaults_of_the_library() -> None:
    measuring, library = eval_command.parser(), inspect.signature(evaluate).parameters
    for name in ("episodes", "batch", "seed"):
        assert measuring.get_default(name) == library[name].default, name
    training, settings = parser(), {field.name: field.default for field in fields(Settings)}
    for name in settings.keys() - {"steps", "batch", "config", "run", "validation"}:
        assert training.get_default(name) == settings[name], name
    assert training.get_default("validation_tasks") == 0 and settings["validation"] is None


def test_version_and_no_command(capsys: pytest.CaptureFixture) -> None:
    assert call(capsys, "--version") == (0, f"mapsto {__version__}\n", "")
    code, out, _ = call(capsys)
    assert code == 2 and "usage: mapsto" in out


def test_an_error_is_one_sentence_and_a_fault_is_named() -> None:
    assert sentence(MapstoError("x: got 1,\n  expected 2.")) == "x: got 1, expected 2."
    assert sentence(KeyError("who")) == "KeyError: 'who' (set MAPSTO_DEBUG=1 to see where)."


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["explode"], "command: got 'explode', expected one of demo, explain"),
        (["list", "gizmo"], "WORD: got 'gizmo', expected a kind (learner, explainer"),
        (["list", "shappley"], "try Shapley, "),
        (["list", "--bogus"], "unrecognized arguments: --bogus"),
        (["eval"], "required: run"),
        (["eval", "/nowhere"], "/nowhere holds no config.yaml, so it is not a run"),
        (["eval", "/nowhere", "--bogus", "3"], "--bogus: no such argument"),
        (["train", "--run", "/nowhere", "--resume"], "/nowhere holds no config.yaml to resume from"),
        (["train", "--learner", "os.system"], "learner: got os.system, but only classes of mapsto are made"),
        (
            ["train", "--learner", "MAML", "--learner.body", "torch.nn.Linear"],
            "learner.body: got torch.nn.Linear, but only",
        ),
        (["train", "--learner", "Magic"], "learner: got 'Magic', which is no class of `mapsto list`"),
        (["train", "--learner", "MAML", "--learner.stps", "3"], "--learner.stps: no such argument"),
        (["train", "--learner", "MAML"], "MAML: --learner.body missing"),
        (
            ["train", "--learner", "MAML", "--learner.steps", "x"],
            "learner.steps: expected a whole number. Got value: x",
        ),
        (["train", "--tasks.ways", "3"], "--tasks.ways: the class is not named; pass --tasks CLASS"),
        (["train", *WAVES], "--run missing"),
        (["train", *WAVES, "--run", "r", "--batch", "x"], "batch: expected a whole number. Got value: x"),
        (["train", *WAVES, "--run", "r", "--learner.body.widths", "[3]"], "sizes: got (3,), expected at least two"),
        (["train", *WAVES, "--run", "/dev/null/r"], "run: cannot write to /dev/null/r"),
        (["train", "--config", "/nowhere.yaml"], "config: cannot read /nowhere.yaml"),
    ],
)
def test_mistakes_are_one_sentence(
    args: list[str], said: str, capsys: pytest.CaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, *args)
    assert code == 1 and out == ""
    assert err.startswith("mapsto: ") and err.count("\n") == 1 and "Traceback" not in err
    assert said in err
    assert list(tmp_path.iterdir()) == []


def test_train_eval_and_again_from_the_run_s_own_configuration(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "waves"
    code, out, err = call(capsys, "train", *WAVES, "--run", str(run), "--validation_tasks", "3", "--json")
    assert code == 0 and err == ""
    told = json.loads(out)
    assert told["step"] == 4 and told["finished"] and told["validation"] > 0
    config = read_config(run)
    assert config["learner"]["init_args"]["body"] == {
        "class_path": "mapsto.models.MLP",
        "init_args": {"activation": "relu", "widths": [1, 4, 1]},
    }
    assert config["steps"] == 4 and config["seed"] == 0

    code, out, err = call(capsys, "eval", str(run), "--episodes", "6", "--json", "--learner.steps", "0")
    assert code == 0 and err == ""
    unmoved = json.loads(out)
    assert unmoved["tasks"] == 6 and unmoved["mse"]["mean"] > 0
    code, out, _ = call(capsys, "eval", str(run), "--episodes", "6")
    assert code == 0 and "squared error" in out
    assert f"{unmoved['mse']['mean']:.4f}" not in out  # `--learner.steps 0` did change the learner

    again = tmp_path / "again"
    code, _, err = call(capsys, "train", "--config", str(run / "config.yaml"), "--run", str(again))
    assert code == 0 and err == ""
    first, second = (read_tensors(folder / "weights.safetensors")[0] for folder in (run, again))
    assert all((first[name] == second[name]).all() for name in first)

    code, _, err = call(capsys, "train", *WAVES, "--run", str(run))
    assert code == 1 and "already holds a checkpoint" in err
    code, _, err = call(capsys, "eval", str(run), "--tasks.shts", "3")
    assert code == 1 and "--tasks.shts: no such argument" in err


def test_allow_imports_makes_classes_of_the_folder_and_nothing_else_does(tmp_path: Path) -> None:
    (tmp_path / "ours.py").write_text("from mapsto.tasks import Sinusoids\n\nclass Slow(Sinusoids):\n    pass\n")
    args = [sys.executable, "-m", "mapsto.cli", "train", *WAVES, "--tasks", "ours.Slow", "--run", "run"]
    refused = subprocess.run(args, capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert refused.returncode == 1 and "only classes of mapsto" in refused.stderr
    done = subprocess.run([*args, "--allow-imports"], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert read_config(tmp_path / "run")["tasks"]["class_path"] == "ours.Slow"


def test_each_command_that_makes_classes_allows_imports_only_with_its_option(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(imports: bool) -> None:
        raise MapstoError(f"imports: {imports}")

    train, run = ["train", *WAVES, "--run", str(tmp_path / "run")], str(tmp_path / "run")
    assert call(capsys, *train)[0] == 0
    monkeypatch.setattr(configuration, "_allow", stop)
    for command in (train, ["eval", run], ["explain", run], ["report", run, "--episode", "0"]):
        assert "imports: False" in call(capsys, *command)[2]
        assert "imports: True" in call(capsys, *command, "--allow-imports")[2]


def test_a_run_of_own_classes_is_measured_explained_and_reported(tmp_path: Path) -> None:
    source = "from mapsto.learners import MAML\nfrom mapsto.tasks import Sinusoids\n\n"
    (tmp_path / "own_work.py").write_text(f"{source}class Mine(MAML):\n    pass\n\nclass Slow(Sinusoids):\n    pass\n")
    own = ["own_work.Mine" if word == "MAML" else "own_work.Slow" if word == "Sinusoids" else word for word in WAVES]
    commands = [["eval", "run", "--episodes", "2"], ["explain", "run"], ["report", "run", "--method", "Gradient"]]
    allowed = [[*command, "--allow-imports"] for command in (["train", *own, "--run", "run"], *commands)]
    code = f"from mapsto.cli import main; print('codes', [main(args) for args in {[*allowed, *commands]}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=tmp_path)
    assert "codes [0, 0, 0, 0, 1, 1, 1]" in done.stdout, done.stderr
    assert done.stderr.count("pass --allow-imports if you trust it") == 3
    assert "Mine" in (tmp_path / "run" / "report.html").read_text()


def test_list_names_what_a_reader_looks_for(capsys: pytest.CaptureFixture) -> None:
    code, out, _ = call(capsys, "list", "--json")
    entries = {entry["name"]: entry for entry in json.loads(out)["entries"]}
    assert code == 0
    names = {"MAML", "PrototypicalNetwork", "Shapley", "IntegratedGradients", "Omniglot", "Sinusoids", "MLP", "Conv4"}
    assert names | {"FOMAML", "ANIL", "Meta-SGD"} <= set(entries)
    assert entries["MAML"]["paper"] == "Finn, Abbeel & Levine 2017"
    assert entries["MAML"]["family"] == "optimisation-based"
    assert entries["PrototypicalNetwork"]["family"] == "metric-based"
    assert entries["Shapley"]["family"] == "hides parts of the input"
    assert all(entry["about"] for entry in entries.values())
    assert entries["film"]["kind"] == "seeing" and entries["maximise"]["paper"].startswith("Simonyan")
    assert entries["ShapleyInteractions"]["family"] == "scores sets of parts"
    assert entries["InputXGradient"]["paper"] == "Shrikumar et al. 2016"
    assert entries["PGD"]["paper"] == "Madry et al. 2018" and entries["PGD"]["kind"] == "measure"
    assert len(entries) == len(json.loads(out)["entries"])  # no name twice
    code, out, _ = call(capsys, "list", "preset")
    assert code == 0 and "FOMAML" in out and "Omniglot" not in out


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["shap"], ["Shapley", "KernelSHAP", "PermutationShapley", "BayesianShapley", "knn_shapley", "FastSHAP"]),
        (["kernelshap"], ["KernelSHAP"]),
        (["Kernel", "SHAP"], ["KernelSHAP", "Shapley"]),
        (["activation maximization"], ["ActivationMaximisation"]),
        (["ActivationMaximisation"], ["ActivationMaximisation"]),
        (["fomaml"], ["FOMAML"]),
        (["anil"], ["ANIL"]),
        (["meta-sgd"], ["Meta-SGD"]),
        (["MetaSGD"], ["Meta-SGD"]),
        (["pdp"], ["PDP"]),
        (["cam"], ["CAM", "Grad-CAM", "GradCAM", "HiResCAM"]),
        (["grad_cam"], ["Grad-CAM", "GradCAM"]),
        (["smoothgrad"], ["SmoothGrad"]),
        (["boil"], ["BOIL"]),
        (["cavia"], ["CAVIA"]),
        (["lime"], ["LIME", "LimeTabular"]),
        (["protonet"], ["ProtoNet"]),
        (["explainer"], ["Shapley", "partial_dependence"]),
        (["metric-based"], ["PrototypicalNetwork", "MatchingNetwork"]),
        (["raghu"], ["ANIL"]),
    ],
    ids=" ".join,
)
def test_list_finds_what_people_look_for(words: list[str], names: list[str], capsys: pytest.CaptureFixture) -> None:
    code, out, _ = call(capsys, "list", *words, "--json")
    listed = {entry["name"] for entry in json.loads(out)["entries"]}
    assert code == 0 and set(names) <= listed and not {"Omniglot", "Patches"} & listed


def test_the_list_is_that_of_the_classes() -> None:
    assert CATALOGUE.read_text(encoding="utf-8") == catalogue.text(), "run `python -m mapsto.commands.catalogue`"


def test_the_list_does_not_wait_for_torch() -> None:
    asked = "import sys; from mapsto.cli import main; main(['list', 'shap']); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", asked], capture_output=True).returncode == 0


def test_other_names_say_our_code() -> None:
    listed = {entry.name: entry for entry in entries()}
    for name, (room, code) in OTHER_NAMES.items():
        assert listed[name].family == f"{room}.{code}" and listed[name].about and listed[name].kind == "other name"
        if code.endswith(")"):
            eval(code, vars(importlib.import_module(f"mapsto.{room}")))


PARTS = {  # public names that no reader looks for by themselves: parts and arguments of methods
    "explainers": {"Game"},
    "measures": {"auroc", "by_outputs", "by_state", "estimate", "surprise", "teaching_loss"},
    "seeing": {"cka_over", "rsa_over", "unit"},
}


@pytest.mark.parametrize("room", PARTS)
def test_the_list_is_complete(room: str) -> None:
    """Every public name is listed, or is a part, a result or an abstraction; nothing is listed that is not public."""
    module = importlib.import_module(f"mapsto.{room}")
    kind = {"explainers": "explainer", "measures": "measure", "seeing": "seeing"}[room]
    listed = {entry.name for entry in entries() if entry.kind == kind}
    inner = {f"audit.{name}" for name in mt.measures.audit.__all__} if room == "measures" else set()
    public = {name for name in module.__all__ if not _result(getattr(module, name))} | inner
    assert listed <= public and public - listed == PARTS[room]


def _result(found: object) -> bool:
    """Whether it is what a method returns, an abstraction, or a protocol: nothing that a person calls."""
    if not inspect.isclass(found):
        return get_origin(found) is not None  # an alias of a type
    told = issubclass(found, tuple) or is_dataclass(found) or found is Surrogate
    return told or inspect.isabstract(found) or is_protocol(found)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_every_preset_can_be_built(preset: tuple) -> None:
    if preset.of == "ANML":
        made = ANML(nn.Flatten(), width=3, ways=2, **preset.arguments)
        assert made.gate is None
        return
    body = nn.Module()
    body.context, body.net = nn.Parameter(nn.Linear(1, 1).bias.data), MLP(1, 4, 1)
    make = lambda: body if preset.name == "CAVIA" else MLP(1, 4, 1)  # noqa: E731
    learner, plain = MAML(make(), loss="mse", **preset.arguments), MAML(make(), loss="mse")
    assert what_adapts(learner) != what_adapts(plain)


def what_adapts(learner: MAML) -> tuple:
    rates = [tuple(rate.shape) for rate in learner.rates]
    return type(learner.differentiation), learner.proximal, learner.adapted, rates


def test_the_module_runs_as_a_program() -> None:
    done = outside("nonsense")
    assert done.returncode == 1 and done.stderr.startswith("mapsto: command: got 'nonsense'") and done.stdout == ""


def test_a_run_is_measured_and_explained(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    assert call(capsys, "train", *WAVES, "--run", str(run), "--json")[0] == 0
    code, out, _ = call(capsys, "eval", str(run), "--episodes", "6", "--json")
    assert code == 0 and json.loads((run / "evaluation.json").read_text()) == json.loads(out)
    kept = (run / "evaluation.json").read_bytes()
    assert call(capsys, "eval", str(run), "--episodes", "9", "--split", "train", "--json")[0] == 0
    assert (run / "evaluation.json").read_bytes() == kept  # what the report tells is of the run's own test tasks
    code, _, err = call(capsys, "explain", str(run), "--json")
    assert code == 0, err
    found = np.load(run / "explanation.npz")
    assert found["features"].shape == found["x"].shape and found["teachers"].shape == (len(found["x"]), 3)
    assert np.abs(found["teachers"]).min() > 0 and np.isfinite(found["features"]).all()


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[1] / "configs").glob("*.yaml")), ids=lambda p: p.stem)
def test_every_configuration_that_ships_makes_its_learner_and_tasks(path: Path, tmp_path: Path) -> None:
    if "omniglot" in path.stem and not os.environ.get("MAPSTO_DATA"):
        pytest.skip("set MAPSTO_DATA to the data folder to make the tasks of Omniglot")
    intents = Path(os.environ.get("MAPSTO_DATA", "")) / "texts" / "clinc120.csv.gz"
    if path.stem == "texts" and not intents.exists():
        pytest.skip("put texts/clinc120.csv.gz into the folder MAPSTO_DATA to make the tasks of texts")
    made = parser()
    data = []
    if path.stem == "texts":  # a few sentences of each intent
        few = pd.read_csv(intents).groupby("intent").head(4)
        few.to_csv(tmp_path / "few.csv", index=False)
        data = ["--tasks.texts", str(tmp_path / "few.csv")]
    args = made.parse_args(["--config", str(path), *data, "--run", "unused"])
    objects = made.make(args)
    learner, tasks = objects.learner, objects.tasks
    assert args.steps > 0 and isinstance(learner, Learner) and isinstance(tasks, Tasks)


def test_json_has_null_where_a_number_is_not_finite() -> None:
    assert as_json({"a": {"b": [1.0, float("nan")]}, "c": float("inf")}) == '{"a": {"b": [1.0, null]}, "c": null}'


def test_queries_with_missing_cells_are_explained(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    shape = ["--learner", "InContext", "--learner.body", "SetTransformer", "--learner.body.width", "8"]
    shape += ["--learner.body.depth", "1", "--learner.body.heads", "2", "--learner.ways", "2"]
    (tmp_path / "t.csv").write_text(
        "a,b,y\n" + "".join(f"{i},{'' if i % 3 else i * i % 7},{i % 2}\n" for i in range(60))
    )
    tasks = ["--tasks", "Table", "--tasks.table", str(tmp_path / "t.csv"), "--tasks.target", "y", "--tasks.shots", "6"]
    tasks += ["--tasks.queries", "5", "--steps", "1", "--batch", "1", "--run", str(tmp_path / "run")]
    assert call(capsys, "train", *shape, *tasks)[0] == 0
    code, _, err = call(capsys, "explain", str(tmp_path / "run"), "--json")
    assert code == 0, err
    found = np.load(tmp_path / "run" / "explanation.npz")
    missing = np.isnan(found["x"])
    assert missing.any() and np.isfinite(found["features"]).all() and (found["features"][missing] == 0).all()


def test_the_report_tells_what_was_measured_with_its_interval(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    assert call(capsys, "train", *WAVES, "--run", str(run))[0] == 0
    measured = json.loads(call(capsys, "eval", str(run), "--episodes", "6", "--json")[1])["mse"]
    assert call(capsys, "report", str(run))[0] == 0
    assert f"{measured['mean']:.4f} ± {measured['interval']:.4f}" in (run / "report.html").read_text()
    assert "(one task, so no interval)" in call(capsys, "eval", str(run), "--episodes", "1")[1]


def test_a_training_that_is_not_finished_is_said(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    _, _, err = call(capsys, "train", *WAVES, "--run", str(run), "--resume")
    assert "holds no checkpoint to resume from, so this training begins anew" in err
    assert "not finished" not in call(capsys, "eval", str(run), "--episodes", "2")[2]
    config = yaml.safe_load((run / "config.yaml").read_text())
    steps = config["steps"]
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"steps": 1000}))
    said = call(capsys, "eval", str(run), "--episodes", "2")[2]
    assert said == f"mapsto: {run} is not finished: weights of step {steps} of 1,000.\n"
    assert f"not finished: {steps} of 1,000 steps" in " ".join(call(capsys, "report", str(run))[1].split())


def test_a_query_of_a_run_is_told_with_its_truth(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    assert call(capsys, "train", *WAVES, "--run", str(run))[0] == 0
    out = call(capsys, "explain", str(run))[1]
    assert re.search(r"query 0: output −?\d\S* \(true: −?\d\S*\); teaching example \d+ moved it most, by", out)
    code, _, err = call(capsys, "explain", str(run), "--target", "y")
    assert code == 1 and "--target: is for tables" in err


@pytest.mark.parametrize("text", ["a: [1", "", "- 3"])
def test_a_configuration_that_is_none_is_named(text: str, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    path = tmp_path / "my.yaml"
    path.write_text(text)
    code, _, err = call(capsys, "train", "--config", str(path), "--run", str(tmp_path / "run"))
    assert code == 1 and err.startswith(f"mapsto: config: {path}") and err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_whose_configuration_was_changed_is_named(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = tmp_path / "run"
    assert call(capsys, "train", *WAVES, "--run", str(run))[0] == 0
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace(".MAML", ".Nothing"))
    code, _, err = call(capsys, "eval", str(run))
    assert code == 1 and str(run / "config.yaml") in err


@pytest.mark.parametrize("steps", ["[1, [2]]", "ten", "true", "null"])
@pytest.mark.parametrize("command", ["eval", "report", "train"])
def test_a_run_whose_steps_are_no_number_is_named(
    command: str, steps: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    run = tmp_path / "run"
    assert call(capsys, "train", *WAVES, "--run", str(run))[0] == 0
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(re.sub("^steps: .*$", f"steps: {steps}", text, flags=re.M))
    arguments = ["--run", str(run), "--resume"] if command == "train" else [str(run)]
    code, _, err = call(capsys, command, *arguments)
    assert code == 1 and "steps" in err and err.count("\n") == 1, err


def test_an_estimator_of_the_gradient_is_named_by_its_class(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    run = str(tmp_path / "run")
    chosen = ["--estimator", "ForwardMode", "--estimator.count", "2"]
    code, _, err = call(capsys, "train", *WAVES, *chosen, "--run", run)
    assert code == 0, err
    assert read_config(run)["estimator"]["init_args"]["count"] == 2
    assert call(capsys, "train", "--run", run, "--resume")[0] == 0  # it was finished, and says the same again
