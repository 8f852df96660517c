"""The exception for mistakes of the user, with one sentence: the argument, its value, the expected value, a remedy."""


class MapstoError(ValueError):
    """A mistake that the user can correct. Its text is one sentence; the command line shows nothing else."""


class ElsewhereError(MapstoError):
    """An error of another process of the same group, which is the one that the command line reports."""
