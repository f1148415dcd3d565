"""Helpers of more than one test folder: waiting, processes, clusters.

They must not know what a ConfigMapSync is.
"""
