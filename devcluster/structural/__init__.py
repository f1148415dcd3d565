"""What the schema of a CustomResourceDefinition does to an object: prune, fill in, judge. Pure.

Start at `schema.py`, which the request pipeline uses. `definition.py` judges the CustomResourceDefinition itself.
"""

from devcluster.structural.definition import definition_problems
from devcluster.structural.schema import StructuralSchema

__all__ = ["StructuralSchema", "definition_problems"]
