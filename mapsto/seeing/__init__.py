"""Looking inside: the preferences, contents and changes of a learner's parts. All of it is data; `figures` draws."""

from .changes import changes
from .embedding import embedding
from .film import film
from .histograms import gradient_histograms
from .iterates import iterates
from .layers import features_over
from .maximisation import maximise, unit
from .probes import probes
from .readout import attended, looks_like, reliance
from .similarity import cka, cka_over, rsa, rsa_over
from .units import units
from .variation import variance_explained

__all__ = [
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
    "probes",
    "reliance",
    "rsa",
    "rsa_over",
    "unit",
    "units",
    "variance_explained",
]
