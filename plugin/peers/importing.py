"""Translate an inventory: find the copies of each tool, and make a sync of each group.

`plugin/commands/import_.py` calls it. A group has one source and one name of copies.
The order of the result depends on the names alone.
"""

from collections import defaultdict

from configmapsync.names import NamespacedName
from configmapsync.spec import ConflictPolicy
from plugin.peers import config_syncer, reflector, replicator
from plugin.peers.inventory import Inventory, Remark
from plugin.peers.syncs import ImportedSync, SyncMaker
from plugin.peers.wanted import WantedCopies

TOOLS = (reflector, replicator, config_syncer)


def translate(
    inventory: Inventory, conflict_policy: ConflictPolicy = ConflictPolicy.ADOPT
) -> tuple[list[ImportedSync], list[Remark]]:
    """Return the syncs that do what the annotations ask for, and sorted remarks.

    Args:
        inventory: the objects that exist.
        conflict_policy: of every sync; Adopt takes the existing copies over.
    """
    remarks = {*inventory.remarks}
    groups: dict[tuple[NamespacedName, str], list[WantedCopies]] = defaultdict(list)
    for tool in TOOLS:
        for configmap in inventory.sorted_configmaps():
            for found in tool.find(configmap, inventory):
                if isinstance(found, Remark):
                    remarks.add(found)
                else:
                    groups[found.source, found.asked_by.name].append(found)
    maker = SyncMaker(inventory, conflict_policy)
    syncs = [sync for key in sorted(groups) if (sync := maker.sync(groups[key])) is not None]
    return syncs, sorted({*remarks, *maker.remarks})
