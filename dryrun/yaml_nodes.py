"""Read YAML into nodes that know their line, at a bounded cost for any text.

`files.py` and the `check` command of the plugin call it. The nodes are built from
events, so neither deep nesting nor aliases of aliases can exhaust the stack or the
memory. An error message must not quote the text, because it may hold secrets.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import yaml
from yaml.constructor import ConstructorError, SafeConstructor
from yaml.nodes import ScalarNode
from yaml.resolver import Resolver

MOST_VALUES = 1_000_000  # of one text, with every alias replaced by what it stands for
DEEPEST = 100  # levels of lists and maps
LONGEST_NUMBER = 64  # characters

_MERGE = "<<"
_resolve: Callable[..., str] = Resolver().resolve
_constructor = SafeConstructor()
# All other scalars are texts, also dates and binary values.
_CONSTRUCTORS: Mapping[str, Callable[[ScalarNode], Any]] = {
    "tag:yaml.org,2002:null": _constructor.construct_yaml_null,
    "tag:yaml.org,2002:bool": _constructor.construct_yaml_bool,
    "tag:yaml.org,2002:int": _constructor.construct_yaml_int,
    "tag:yaml.org,2002:float": _constructor.construct_yaml_float,
}


class Position(NamedTuple):
    """A place in a text; line and column count from 1."""

    line: int
    column: int


START = Position(1, 1)


class YamlError(Exception):
    """The text is no YAML that can be read, because of what stands at `position`."""

    def __init__(self, message: str, position: Position) -> None:
        super().__init__(message)
        self.position = position


@dataclass(slots=True)
class Node:
    """A value with its position.

    Attributes:
        value: a scalar, a list of nodes, or a map of nodes by key.
        position: where it begins.
        size: the number of values in it, itself included.
        depth: the levels of lists and maps in it, itself included.
        text: of a scalar, as it is written; None for a list or map.
        keys: the position of each key of a map.
        duplicates: keys that occur more than once in a map, with the position of the later one.
    """

    value: Any
    position: Position = START
    size: int = 1
    depth: int = 0
    text: str | None = None
    keys: dict[str, Position] = field(default_factory=dict)
    duplicates: list[tuple[str, Position]] = field(default_factory=list)

    def plain(self) -> Any:
        """Return the value without positions."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def get(self, key: str) -> "Node | None":
        """Return the node of a key; None if there is none, or if this is no map."""
        return self.value.get(key) if isinstance(self.value, dict) else None


def load_all(text: str) -> Iterator[Node]:
    """Yield each document of a text; an empty one has the value None.

    Raises:
        YamlError: the text is not valid YAML, or too large or too deep.
    """
    builder = _Builder()
    try:
        for event in yaml.parse(text, yaml.CSafeLoader):
            if (document := builder.add(event)) is not None:
                yield document
    except yaml.YAMLError as error:
        message = getattr(error, "problem", None) or "not valid YAML"
        raise YamlError(message, _position(getattr(error, "problem_mark", None))) from error


@dataclass(slots=True)
class _Open:
    """A list or map that has not ended."""

    node: Node
    anchor: str | None
    key: Node | None = None
    merged: list[Node] = field(default_factory=list)


class _Builder:
    """Builds one document after the other from events."""

    def __init__(self) -> None:
        self._open: list[_Open] = []
        self._anchors: dict[str, Node] = {}
        self._spent = 0  # values of the documents before this one

    def add(self, event: Any) -> Node | None:
        """Take the next event; return the document that it completes."""
        match event:
            case yaml.DocumentStartEvent():
                self._anchors = {}
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                self._start(event)
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                closed = self._open.pop()
                _merge(closed)
                return self._complete(closed.node, closed.anchor)
            case yaml.ScalarEvent():
                node = Node(_scalar(event), _position(event.start_mark), text=event.value)
                return self._complete(node, event.anchor)
            case yaml.AliasEvent():
                return self._complete(self._known(event), None)
        return None

    def _start(self, event: Any) -> None:
        value: Any = {} if isinstance(event, yaml.MappingStartEvent) else []
        node = Node(value, _position(event.start_mark), depth=1)
        self._check_depth(node)
        self._open.append(_Open(node, event.anchor))

    def _check_depth(self, node: Node) -> None:
        if len(self._open) + node.depth > DEEPEST:
            raise YamlError(f"nested deeper than {DEEPEST} levels", node.position)

    def _known(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            position = _position(event.start_mark)
            raise YamlError("an alias without an anchor before it", position)
        return self._anchors[event.anchor]

    def _complete(self, node: Node, anchor: str | None) -> Node | None:
        if anchor is not None:
            self._anchors[anchor] = node
        if not self._open:
            self._spent += node.size
            return node
        self._check_depth(node)
        parent = self._open[-1]
        parent.node.depth = max(parent.node.depth, node.depth + 1)
        parent.node.size += node.size
        if self._spent + parent.node.size > MOST_VALUES:
            raise YamlError(f"more than {MOST_VALUES} values", node.position)
        if isinstance(parent.node.value, list):
            parent.node.value.append(node)
        elif parent.key is None:
            parent.key = node
        else:
            _put(parent, parent.key, node)
            parent.key = None
        return None


def _put(parent: _Open, key_node: Node, node: Node) -> None:
    key = key_node.text
    if key is None:
        raise YamlError("a key that is no text", key_node.position)
    if key == _MERGE:
        parent.merged += node.value if isinstance(node.value, list) else [node]
        return
    if key in parent.node.value:
        parent.node.duplicates.append((key, key_node.position))
    parent.node.value[key] = node
    parent.node.keys[key] = key_node.position


def _merge(closed: _Open) -> None:
    """Add the keys of `<<`; a key of the map itself takes precedence."""
    for other in closed.merged:
        if not isinstance(other.value, dict):
            raise YamlError("<< needs a map", other.position)
        for key, node in other.value.items():
            if key not in closed.node.value:
                closed.node.value[key] = node
                closed.node.keys[key] = other.keys[key]


def _position(mark: Any) -> Position:
    return Position(mark.line + 1, mark.column + 1) if mark else START


def _scalar(event: yaml.ScalarEvent) -> Any:
    tag = event.tag
    if tag in {None, "!"}:
        tag = _resolve(ScalarNode, event.value, event.implicit)
    construct = _CONSTRUCTORS.get(tag)
    if construct is None or len(event.value) > LONGEST_NUMBER:
        return event.value
    try:
        return construct(ScalarNode(tag, event.value))
    except (ValueError, KeyError, ConstructorError) as error:
        position = _position(event.start_mark)
        raise YamlError("a value does not match its tag", position) from error
