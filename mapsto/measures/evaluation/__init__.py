"""The quality of predictions: accuracy and error with intervals, calibration, likelihood, similarity of tasks."""
