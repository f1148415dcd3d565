"""Admission webhooks, called the way kube-apiserver calls them.

Read chain.py first: it runs the webhooks that matching.py selects, in the order the real server promises. review.py
writes and reads AdmissionReviews, endpoint.py sends them, conditions.py evaluates matchConditions, configurations.py
defaults and validates the objects that register webhooks. Nothing here stores anything.
"""
