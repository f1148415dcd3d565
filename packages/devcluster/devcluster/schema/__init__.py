"""Which kinds are served and what their objects must be, built-in and custom.

Start at `kinds.py` and `structural.py`. Everything here is pure: documents in,
documents and problems out.
"""
