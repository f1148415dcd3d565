"""What each process needs around its work: settings, logs, health, metrics and signals.

The reconciler, the webhook and the certificate tool run on it; the `plan` command and
the plugin use parts of it. It knows nothing of ConfigMapSync and Kubernetes. Start at
`lifecycle.py`.
"""
