"""The command `diff`: each copy line by line, as it is and as it would be.

`plugin/planning.py` has the flags.
"""

import sys
from typing import Any

import click

from plugin.planning import PlanCommand, plan_options, run_plan


@click.command(cls=PlanCommand)
@plan_options
def command(**options: Any) -> None:
    """Print how each copy would change, line by line, with the values of ConfigMaps.

    Standard error lists what a diff cannot show.

    Exit code: 0 if no ConfigMap would change, 2 if one would, 1 after an error or if a spec is
    invalid.
    """
    sys.exit(run_plan("kubectl configmapsync diff", output="diff", **options))
