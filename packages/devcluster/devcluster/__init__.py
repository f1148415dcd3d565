"""An API server in memory, for the demo and for tests, spoken to over HTTP: nothing but tests imports it.

It behaves like kube-apiserver in what an operator, a webhook and kubectl rely on; README.md lists where it does not.
"""
