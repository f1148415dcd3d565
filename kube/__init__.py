"""A Kubernetes client for operators.

It knows nothing of ConfigMapSync and of its processes. Start at `client.py` and
`informer.py`.
"""
