"""The admission webhook: AdmissionReview in, AdmissionReview out.

Start at `admit.py`, the judgement, a pure function of one review and one view of the world; `world.py` keeps that view,
`authorization.py` asks what the user may do, `review.py` speaks the wire format, `app.py` puts them behind two paths, `certwatcher.py`
keeps the certificate fresh. The rules themselves are `configmapsync`'s and shared with the reconciler. Imports neither it nor `certs`.
"""
