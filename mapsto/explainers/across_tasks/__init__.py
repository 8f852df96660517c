"""Explanations of a learner over many tasks: importance of columns, partial dependence, and influence of tasks."""
