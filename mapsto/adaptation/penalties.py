"""The former place of the penalties that are now in `mapsto.penalties`."""

from ..penalties import Balance, ConceptStability

__all__ = ["Balance", "ConceptStability"]
