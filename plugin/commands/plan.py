"""The command `plan`: what the reconciler would do, as text, JSON or diff.

`plugin/planning.py` has the flags of plans, `dryrun/output.py` the formats.
"""

import sys
from typing import Any

import click

from plugin.options import output_option
from plugin.planning import PlanCommand, plan_options, run_plan


@click.command(cls=PlanCommand)
@plan_options
@output_option("text", "json", "diff", default="text")
def command(**options: Any) -> None:
    """Print what the reconciler would do, and write nothing.

    It reads a cluster, or only the files of -f, or those files as if they were applied to the
    cluster. The output format diff shows the values of ConfigMaps.

    Exit code: 0 if no ConfigMap would change, 2 if one would, 1 after an error or if a spec is
    invalid.
    """
    sys.exit(run_plan("kubectl configmapsync plan", **options))
