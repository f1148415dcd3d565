"""Translate an inventory: all tools, then the syncs, then the remarks in order.

`plugin/commands/import_.py` calls it.
"""

from collections.abc import Iterator

from configmapsync.spec import ConflictPolicy
from plugin.peers import config_syncer, reflector, replicator
from plugin.peers.inventory import Inventory, Remark
from plugin.peers.syncs import ImportedSync, make

TOOLS = (reflector, replicator, config_syncer)


def translate(
    inventory: Inventory, conflict_policy: ConflictPolicy = ConflictPolicy.ADOPT
) -> tuple[list[ImportedSync], list[Remark]]:
    """Return the syncs that do what the annotations ask for, and sorted remarks."""
    wanted, remarks = [], [*_other_kinds(inventory)]
    for tool in TOOLS:
        copies, notes = tool.find(inventory)
        wanted += copies
        remarks += notes
    syncs, notes = make(wanted, inventory, conflict_policy)
    return syncs, sorted({*remarks, *notes})


def _other_kinds(inventory: Inventory) -> Iterator[Remark]:
    for found in inventory.others:
        text = f"a {found.kind} is not copied: ConfigMapSync copies ConfigMaps only"
        yield Remark(str(found), text, lost=True)
