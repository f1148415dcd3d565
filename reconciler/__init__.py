"""The reconciler: a process that makes the cluster match every ConfigMapSync.

An event (`triggers.py`) puts a name into a queue. A worker (`controller.py`) reconciles
the name in five steps (`reconcile.py`). What is known of the cluster is in `known/`,
what is written in `writes/`, what is reported in `reports/`. Nothing here may import
another process.
"""
