"""The kubectl plugin `kubectl configmapsync`: show, explain and check syncs.

Start at `cli.py`, which lists the commands. Each command is a module in `commands/`.
The plugin must not write to a cluster, and only `plan` and `diff` may print values of
ConfigMaps.
"""
