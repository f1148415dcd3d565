"""A Kubernetes client for operators: typed client, errors, watches, caches, work queue, election.

It knows nothing of ConfigMapSync and of its processes. Start at `client.py` and
`informer.py`.
"""
