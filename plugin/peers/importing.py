"""Translate an inventory: all tools, then the syncs, then the remarks in order.

`plugin/commands/import_.py` calls it.
"""

from configmapsync.spec import ConflictPolicy
from plugin.peers import config_syncer, reflector, replicator
from plugin.peers.inventory import Inventory, Remark
from plugin.peers.syncs import ImportedSync, make

TOOLS = (reflector, replicator, config_syncer)


def translate(
    inventory: Inventory, conflict_policy: ConflictPolicy = ConflictPolicy.ADOPT
) -> tuple[list[ImportedSync], list[Remark]]:
    """Return the syncs that do what the annotations ask for, and sorted remarks."""
    remarks = {*inventory.remarks}
    wanted = []
    for tool in TOOLS:
        for configmap in inventory.sorted_configmaps():
            for found in tool.find(configmap, inventory):
                if isinstance(found, Remark):
                    remarks.add(found)
                else:
                    wanted.append(found)
    syncs, notes = make(wanted, inventory, conflict_policy)
    return syncs, sorted({*remarks, *notes})
