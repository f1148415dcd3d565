"""The reconciler: a process that makes the cluster match what every ConfigMapSync asks for.

Data flows one way: an event (`triggers.py`) becomes a name in a queue (`controller.py`), the name an observation and a plan
(`reconcile.py`, `configmapsync/planning.py`), the plan writes (`applier.py`), the outcomes a status (`reporter.py`).
Start at `reconcile.py`. Everything is built once, in `app.py`. The webhook is a sibling and is never imported.
"""
