"""What may be asked of `plan`: its flags and `CONFIGMAPSYNC_...` variables. Read once, by `command.py`."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from pydantic_settings import CliPositionalArg, SettingsConfigDict

from configmapsync.names import PROTECTED_NAMESPACES
from kube.configuration import own_namespace
from runtime.settings import ClusterSettings

INSTALLED_IN = "configmapsync-system"  # by config/default

Sync = Annotated[str, StringConstraints(pattern=r"^[^/\s]+/[^/\s]+$")]


class PlanSettings(ClusterSettings):
    """Tell what the reconciler would do, and do nothing.

    Reads a cluster, or the files named with -f alone, or those files as if they had been applied to the cluster. Exit code: 0 where
    no ConfigMap would change, 2 where one would, 1 where that cannot be told or a spec breaks a rule. The rights to get and list
    configmaps, namespaces and configmapsyncs suffice.
    """

    model_config = SettingsConfigDict(cli_shortcuts={"filename": "f"})

    syncs: CliPositionalArg[list[Sync]] = Field(
        default=[], description="NAMESPACE/NAME of each sync; default: all"
    )
    filename: list[str] = Field(
        default=[],
        description="file or folder of YAML, or - for standard input, in place of a cluster; may be repeated",
    )
    with_cluster: bool = Field(
        default=False,
        description="take the files as applied to the cluster; their own syncs are told unless others are named",
    )
    output: Literal["text", "json", "diff"] = Field(
        default="text",
        description="text for people, json for machines, or a diff of each copy: that one shows the values of ConfigMaps",
    )
    protected_namespaces: list[str] = Field(
        default=sorted(PROTECTED_NAMESPACES),
        description="as the reconciler is told: destinations only by exact name",
    )
    operator_namespace: str = Field(
        default="",
        description="where the reconciler runs, which is protected as well; default: where this runs, if it is a pod, else configmapsync-system",
    )

    def protected(self) -> frozenset[str]:
        """All protected namespaces."""
        operators = self.operator_namespace or own_namespace() or INSTALLED_IN
        return frozenset({*self.protected_namespaces, operators})
