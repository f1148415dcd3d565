"""Who a request comes from and what it may do: authentication, RBAC, reviews and tokens.

Start at `control.py`, which the server builds once, and `gate.py`, which every request passes.
"""
