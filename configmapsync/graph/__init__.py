"""Find loops and contested destinations among all syncs.

`decisions.py` decides about all syncs for the reconciler, and `review.py` checks one
sync for the webhook and the plugin. Both must apply the same rule, that of
`allocation.py`.
"""
