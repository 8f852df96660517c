"""Explanations of a learner over many tasks: the importance of features, partial dependence, the influence of tasks."""
