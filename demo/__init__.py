"""The tour of `make demo`: real processes and real commands, with each step verified.

`story.py` has the steps. No other package imports this one.
"""
