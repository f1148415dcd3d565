"""The certificate tool: a CA, a serving certificate for the webhook, and the trust of the API server in them.

`python -m certs ensure` makes or renews what is due and exits; a CronJob calls it again. `revoke` ends the
trust in a leaked key. Start at `ensure.py`, a whole run in five steps. `rotation.py` decides, `authority.py`
makes and `bundle.py` merges; these three do no I/O. `cluster.py` and `directory.py` store the result, and
`pods.py` finds the pods that do not serve it yet. Imports `kube` and `runtime`, never the domain.
"""
