"""What the reconciler and the webhook both watch: namespaces and syncs as records.

The modules hold the paths, RBAC rules, records and decoders of the two kinds, which
`plan` and the plugin read as well. The package must import no process.
"""
