"""Whether an explanation is true to the model that it explains."""
