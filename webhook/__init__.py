"""The admission webhook: AdmissionReview in, AdmissionReview out.

Start at `admit.py`, the judgement: a pure function of one review and one view of the world. Around it, from the inside out:
`admission.py` walks through one review, `world.py` keeps the view, `authorization.py` asks what the user may do, `review.py` speaks the
wire format, `server.py` puts it all behind two paths, `certwatcher.py` keeps the certificate fresh, and `app.py` is the process.
The rules are `configmapsync`'s, shared with the reconciler; this package imports neither the reconciler nor `certs`.
"""
