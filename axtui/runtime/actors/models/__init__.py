"""Calling models: one seam over all providers.

`providers` and `faults` are the standard library alone, so that a missing key is told at once;
`host` imports what calls models, and belongs into a process of its own.
"""
