"""Texts as words, sentences and whole numbers, in any script."""
