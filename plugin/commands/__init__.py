"""The commands of the plugin: one module each, with the click command in `command`.

`plugin/cli.py` imports a module when its command runs, so that `--help` stays fast.
"""
