"""The one exception that a person's mistake raises: a sentence naming the argument, what it got, what it needs."""


class MapstoError(ValueError):
    """Something a person can put right. Its text is one sentence, and the command line shows nothing else."""
