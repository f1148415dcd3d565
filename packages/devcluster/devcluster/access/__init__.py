"""Authentication, RBAC, access reviews and service account tokens.

Start at `control.py`, which the server builds once, and `gate.py`, which every
request passes.
"""
