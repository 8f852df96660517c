"""Seeing inside: what a learner's parts like, hold and do while it learns. Everything here is data; `figures` draws."""

from .changes import Changes, changes
from .embedding import Embedding, embedding, purity
from .film import Film, film
from .histograms import Histograms, gradient_histograms
from .iterates import Iterates, iterates
from .layers import Features, features_over
from .maximisation import Preferred, maximise, unit
from .plane import plane
from .probes import Probes, probes
from .readout import Reliance, Resemblance, attended, looks_like, perplexity, reliance
from .similarity import Similarity, cka, cka_over, rsa, rsa_over
from .units import Units, units
from .variation import Explained, variance_explained

__all__ = [
    "Changes",
    "Embedding",
    "Explained",
    "Features",
    "Film",
    "Histograms",
    "Iterates",
    "Preferred",
    "Probes",
    "Reliance",
    "Resemblance",
    "Similarity",
    "Units",
    "attended",
    "changes",
    "cka",
    "cka_over",
    "embedding",
    "features_over",
    "film",
    "gradient_histograms",
    "iterates",
    "looks_like",
    "maximise",
    "perplexity",
    "plane",
    "probes",
    "purity",
    "reliance",
    "rsa",
    "rsa_over",
    "unit",
    "units",
    "variance_explained",
]
