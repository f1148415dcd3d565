"""A Kubernetes API server in memory, for demos and tests. Clients use it over HTTP.

It behaves like kube-apiserver in what an operator, a webhook and kubectl rely on.
README.md lists the differences.
"""
