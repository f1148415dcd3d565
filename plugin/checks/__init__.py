"""Check files with ConfigMapSyncs, by the rules of the CRD and of admission.

`plugin/commands/check.py` calls it. `manifests.py` reads files, `shape.py` checks
one object, `references.py` all together, and `live.py` asks a cluster.
"""
