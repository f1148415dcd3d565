"""`python -m reconciler plan`: what the reconciler would do, told and not done.

It looks with the reconciler's own caches and plans with its own planner; only the writes are left out. `command.py` is where it begins.
"""
