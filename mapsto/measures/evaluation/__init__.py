"""The quality of predictions: accuracy and error with intervals, calibration, likelihood, and similarity of tasks."""
