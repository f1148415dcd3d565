"""The certificate tool: a CA, a serving certificate for the webhook, and the trust of the API server in them.

A script, not a service: `python -m certs ensure` makes or renews what is due and exits; a CronJob calls it again.
Start at `ensure.py`, the whole story in four steps. `rotation.py` decides, `authority.py` makes, `bundle.py` merges: all three
are pure. `cluster.py` and `directory.py` are the two places where the result can live. Imports `kube` and `runtime`, never the domain.
"""
