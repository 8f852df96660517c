"""The shipped text encoder, measured on intents that it has never seen: accuracy, deletion, exactness and speed.

    MAPSTO_DATA=... python benchmarks/texts.py accuracy --tasks 1000
    MAPSTO_DATA=... python benchmarks/texts.py deletion
    MAPSTO_DATA=... python benchmarks/texts.py agreement
    MAPSTO_DATA=... python benchmarks/texts.py speed --threads 2

The data are CLINC150 (Larson et al. 2019, CC BY 3.0), in `$MAPSTO_DATA/texts/clinc120.csv.gz` with the columns text and
intent. The test intents are the last sixth of the classes as `mt.tasks.Texts` divides them with seed 0, see
`configs/texts.yaml`.

- accuracy: of `TextClassifier` on tasks of 5 and 20 unseen intents with 1 and 5 sentences each, 10 further sentences of
  each to classify, with 95 % intervals over tasks. Beside it, on the same tasks, the same classifier with TF-IDF over
  words and over runs of 3 to 5 characters, whose inverse document frequencies come from the training intents. Also the
  mean probability of the predicted class, which is near the accuracy if probabilities can be taken at their word;
- deletion: in how many sentences does deleting the most important word lower the probability of the predicted class
  more than deleting a random other word does (a tie counts as half);
- agreement: R² of the values of sentences of 11 and 12 words to exact Shapley values, asked through `predict_proba`;
- speed: seconds from `fit` on 25 sentences to 100 explained ones, and the size of the weights.

Every line is a JSON object.
"""

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

import mapsto as mt
from mapsto.reports.texts.exact import exact_values
from mapsto.tables.tablefile import read_table
from mapsto.tasks.classes import divide
from mapsto.texts.words import join, words
from mapsto.weights import TEXTS

SPLITS = (100 / 120, 0.0, 20 / 120)
Texts = dict[str, np.ndarray]
Task = tuple[
    list[str], list[str], list[str], np.ndarray
]  # training texts, their labels, texts to classify, their labels


def intents(split: str) -> Texts:
    """Return the sentences of each intent of a split."""
    table = read_table(Path(os.environ["MAPSTO_DATA"]) / "texts" / "clinc120.csv.gz")
    names = sorted(table["intent"].unique())
    chosen = [names[c] for c in divide(names, SPLITS, seed=0)[split][0]]
    return {name: table["text"][table["intent"] == name].to_numpy() for name in sorted(chosen)}


def tasks(texts: Texts, ways: int, shots: int, count: int, seed: int, queries: int = 10) -> Iterator[Task]:
    """Yield few-shot tasks."""
    generator = np.random.default_rng((seed, ways, shots))
    for _ in range(count):
        chosen = generator.choice(list(texts), ways, replace=False)
        rows = [generator.permutation(texts[name])[: shots + queries] for name in chosen]
        train, new = np.concatenate([of[:shots] for of in rows]), np.concatenate([of[shots:] for of in rows])
        yield train.tolist(), chosen.repeat(shots).tolist(), new.tolist(), chosen.repeat(queries)


def encoders() -> dict[str, Callable[[list[str]], Any] | None]:
    """Return the shipped encoder and two classic ones."""
    train = np.concatenate(list(intents("train").values()))
    of_words = TfidfVectorizer(token_pattern=r"(?u)\S+", sublinear_tf=True).fit(train)
    of_characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True).fit(train)
    return {"shipped": None, "TF-IDF of words": of_words.transform, "TF-IDF of characters": of_characters.transform}


def accuracy(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the accuracy on each kind of task."""
    texts = intents("test")
    for name, encoder in encoders().items():
        for ways, shots in ((5, 1), (5, 5), (20, 1), (20, 5)):
            right, sure = [], []
            for train, labels, new, truth in tasks(texts, ways, shots, args.tasks, args.seed):
                classifier = mt.TextClassifier(encoder=encoder).fit(train, labels)
                p = classifier.predict_proba(new)
                right.append((classifier.classes_[p.argmax(1)] == truth).mean())
                sure.append(p.max(1).mean())
            interval = 1.96 * float(np.std(right)) / len(right) ** 0.5
            line = {"encoder": name, "ways": ways, "shots": shots, "tasks": args.tasks}
            yield line | {"accuracy": float(np.mean(right)), "interval": interval, "probability": float(np.mean(sure))}


def deletion(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the share of sentences in which the most important word matters more than a random other word."""
    generator, wins = np.random.default_rng(args.seed), []
    for train, labels, new, _ in tasks(intents("test"), 5, 5, 100, args.seed):
        classifier = mt.TextClassifier().fit(train, labels)
        e = classifier.explain(new)
        long = [i for i, parts in enumerate(e.parts) if len(parts) > 2]
        for i in generator.choice(long, 2, replace=False):
            parts, c = e.parts[i], int(e.predictions[i].argmax())
            best = int(e.values[i, : len(parts), c].argmax())
            other = int(generator.choice([j for j in range(len(parts)) if j != best]))
            shortened = [join([part for j, part in enumerate(parts) if j != gone]) for gone in (best, other)]
            first, second = classifier.predict_proba(shortened)[:, c]
            wins.append(float(first < second) + 0.5 * float(first == second))
    yield {"sentences": len(wins), "most important word matters more": float(np.mean(wins))}


def agreement(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the agreement of sampled values with exact ones, one sentence of each task."""
    for looks in args.looks:
        got, exactly, errors = [], [], []
        for train, labels, new, _ in tasks(intents("test"), 5, 5, args.rows, args.seed):
            classifier = mt.TextClassifier(looks=looks).fit(train, labels)
            fitting = [text for text in new if len(words(text)) in (11, 12)][:1]
            for text in fitting:
                e = classifier.explain([text])
                got.append(e.values[0])
                errors.append(e.errors[0])
                exactly.append(exact_values(classifier, e.parts[0]))
        a, b = np.concatenate(got), np.concatenate(exactly)
        r2 = 1 - ((a - b) ** 2).sum() / ((b - b.mean()) ** 2).sum()
        inside = (np.abs(a - b) <= 1.96 * np.concatenate(errors)).mean()
        yield {"looks": looks, "sentences": len(got), "R2": float(r2), "within 1.96 standard errors": float(inside)}


def speed(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the seconds from `fit` to explained sentences, the first time and again."""
    torch.set_num_threads(args.threads)
    train, labels, new, _ = next(tasks(intents("test"), 5, 5, 1, args.seed, queries=20))
    for times in ("first", "second"):
        clock, processor = time.perf_counter(), time.process_time()
        mt.TextClassifier().fit(train, labels).explain(new)
        seconds = {"seconds": time.perf_counter() - clock, "processor seconds": time.process_time() - processor}
        yield {"taught": len(train), "explained": len(new), "time": times, **seconds}
    yield {"MiB": TEXTS.stat().st_size / 2**20}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["accuracy", "deletion", "agreement", "speed"])
    parser.add_argument("--tasks", type=int, default=1000, help="few-shot tasks of each kind")
    parser.add_argument("--rows", type=int, default=40, help="sentences whose values are compared with exact ones")
    parser.add_argument("--looks", type=int, nargs="+", default=[256, 1024], help="shortened sentences to ask about")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    for line in {"accuracy": accuracy, "deletion": deletion, "agreement": agreement, "speed": speed}[args.what](args):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()
