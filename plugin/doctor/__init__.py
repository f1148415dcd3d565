"""Examine an installation: the CRD, the webhook, rights, the leader, watches, syncs.

`examination.py` runs the checks, and each returns findings with their remedies. No
check writes: the webhook is asked in a dry run that it must deny.
"""
