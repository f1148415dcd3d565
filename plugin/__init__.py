"""The kubectl plugin `kubectl configmapsync`: show, explain and check syncs.

Start at `cli.py`, which has one row for each command. Each command is a module in
`commands/`. The plugin must not write to a cluster and must not print values of
ConfigMaps.
"""
