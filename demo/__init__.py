"""The story of `make demo`: real processes, real commands, their real output, and every step verified.

Read `story.py`; the rest serves it. Nothing imports this package.
"""
