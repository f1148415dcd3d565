"""The admission webhook: AdmissionReview in, AdmissionReview out.

Start at `admission.py`, which answers one review. `admission_review.py` decodes it,
`authorization.py` asks for the rights of the user, `cluster_state.py` takes a snapshot
of the cluster, and `configmapsync/admission_checks.py` checks the sync against it.
`server.py`, `paths.py` and `certwatcher.py` serve it over TLS; `app.py` is the process.
The package imports neither the reconciler nor `certs`.
"""
