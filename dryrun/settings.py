"""Define the flags and environment variables of `plan`.

`command.py` reads them once.
"""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints
from pydantic_settings import CliPositionalArg, SettingsConfigDict

from configmapsync.names import PROTECTED_NAMESPACES
from kube.configuration import own_namespace
from runtime.settings import ClusterSettings, Metavar

# The namespace of config/default.
DEFAULT_OPERATOR_NAMESPACE = "configmapsync-system"

Sync = Annotated[str, StringConstraints(pattern=r"^[^/\s]+/[^/\s]+$")]


class PlanSettings(ClusterSettings):
    """Print what the reconciler would do, and write nothing.

    It reads a cluster, or only the files of -f, or those files as if they were applied to the
    cluster. Exit code: 0 if no ConfigMap would change, 2 if one would, 1 after an error or if a
    spec is invalid. It needs the rights to get and list configmaps, namespaces and configmapsyncs.
    """

    model_config = SettingsConfigDict(cli_shortcuts={"filename": "f"})

    syncs: Annotated[CliPositionalArg[list[Sync]], Metavar("NAMESPACE/NAME")] = Field(
        default=[], description="syncs to plan; default: all"
    )
    filename: Annotated[list[str], Metavar("PATH")] = Field(
        default=[],
        description=(
            "YAML file or folder, or - for standard input, instead of a cluster; may be repeated"
        ),
    )
    with_cluster: bool = Field(
        default=False,
        description=(
            "plan as if the files were applied to the cluster; "
            "without names, only the syncs of the files"
        ),
    )
    output: Literal["text", "json", "diff"] = Field(
        default="text",
        description=(
            "text for people, json for machines, or a diff of each copy, "
            "which shows the values of ConfigMaps"
        ),
    )
    protected_namespaces: list[str] = Field(
        default=sorted(PROTECTED_NAMESPACES),
        description=(
            "namespaces that are destinations only by exact name, as set for the reconciler"
        ),
    )
    operator_namespace: str = Field(
        default="",
        description=(
            "namespace of the reconciler, which is protected as well; "
            "default: the namespace of this pod, else configmapsync-system"
        ),
    )

    def protected(self) -> frozenset[str]:
        """Return the protected namespaces."""
        operators = self.operator_namespace or own_namespace() or DEFAULT_OPERATOR_NAMESPACE
        return frozenset({*self.protected_namespaces, operators})
