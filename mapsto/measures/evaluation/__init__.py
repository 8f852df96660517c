"""The quality of a learner's predictions: accuracy and error with intervals, calibration, likelihood, similarity of
tasks.
"""
