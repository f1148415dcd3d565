"""What the reconciler and the webhook both watch: namespaces and syncs as records.

The modules hold the paths, RBAC rules, records and decoders of the two kinds. The
package imports `configmapsync` and `kube`, and no process.
"""
