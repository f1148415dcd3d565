"""The certificate tool: a CA, a serving certificate, and the trust of the API server.

`python -m certs ensure` makes or renews what is due; a CronJob repeats it. `revoke`
ends the trust in a leaked key. Start at `ensure.py`, a whole run in five steps, which
calls the other modules: `rotation.py` decides, `authority.py` and `bundle.py` make,
`secret_store.py` and `directory.py` store, `trust.py` publishes, and `pods.py` finds
pods that lag behind. The package imports `kube` and `runtime`, never the domain.
"""
