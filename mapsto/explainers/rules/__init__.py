"""Explanations of a classifier in words: rules, surrogate trees and counterfactuals. They ask only for its answers."""
