"""Explanations of a classifier by rules, surrogate trees and counterfactuals; they need only its answers for rows."""
