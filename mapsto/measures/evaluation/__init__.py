"""How well a learner predicts: accuracy and error with intervals, calibration, likelihood, similarity of tasks."""
