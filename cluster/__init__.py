"""Namespaces and ConfigMapSyncs as cached records: what the reconciler and the webhook both watch.

The modules hold the paths, RBAC rules, records and decoders of the two kinds. The
package imports `configmapsync` and `kube`, and no process.
"""
