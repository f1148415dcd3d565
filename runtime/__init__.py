"""What each of our processes needs around its work: settings, logs, health and metrics over HTTP, signals.

Used by `reconciler`, `webhook` and `certs`; knows nothing of ConfigMapSync and nothing of Kubernetes. Start at `lifecycle.py`.
"""
