"""Whether an explanation is true of the model that it explains."""
