"""Call admission webhooks as kube-apiserver does.

Start at `chain.py`: it calls the webhooks that `matching.py` selects, in the order of
kube-apiserver. `review.py` writes and reads AdmissionReviews, `endpoint.py` sends
them, `conditions.py` evaluates matchConditions, and `configurations.py` validates the
objects that register webhooks. Nothing here stores anything.
"""
