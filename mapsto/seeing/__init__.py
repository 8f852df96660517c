"""Looking inside: what an adapted model attends to, rests on, and is made of. Numbers, not drawings."""

from .readout import Reliance, Resemblance, attended, looks_like, perplexity, reliance

__all__ = ["Reliance", "Resemblance", "attended", "looks_like", "perplexity", "reliance"]
