"""What is stored, and the rules of reading and writing it.

Start at `registry.py` (the order of every write) and `store.py` (one version, one
history). No HTTP here.
"""
