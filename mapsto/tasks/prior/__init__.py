"""The parts of the prior `tasks.Tables`: inputs, rules for the outcome, and the noise of the outcome."""
