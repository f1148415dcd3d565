"""The `plan` command: print what the reconciler would do, and change nothing.

It observes with the reconciler's caches and observer and plans with
`configmapsync/planning.py`. Start at `command.py`. Nothing here may send a write to an
API server.
"""
