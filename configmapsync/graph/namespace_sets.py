"""Represent sets of namespaces as integers: one bit for each namespace.

Thousands of syncs may select thousands of namespaces each. As integers, 10,000 sets
over 5,000 namespaces need 6 MB, and the intersection of two sets takes less than a
microsecond. `index.py` numbers all namespaces, and `review.py` those of one answer; a
set is meaningless without its numbers.
"""

from collections.abc import Iterable, Iterator

NamespaceSet = int  # bit n is set if the namespace with the number n is in the set

FEW = 16  # up to so many bits, a search bit by bit is the fastest


class NamespaceNumbers:
    """Give each namespace a number."""

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._numbers: dict[str, int] = {}
        self._names: list[str] = []  # by number; empty if the number is free
        self._free: list[int] = []
        for name in names:
            self.add(name)

    def add(self, name: str, *, reuse: bool = True) -> None:
        """Number a namespace.

        Args:
            name: the namespace.
            reuse: whether to take the number of a removed namespace; no set may still contain it.
        """
        if name in self._numbers:
            return
        if reuse and self._free:
            number = self._free.pop()
            self._names[number] = name
        else:
            number = len(self._names)
            self._names.append(name)
        self._numbers[name] = number

    def remove(self, name: str) -> None:
        """Free the number of a namespace."""
        number = self._numbers.pop(name, None)
        if number is not None:
            self._names[number] = ""
            self._free.append(number)

    def single(self, name: str) -> NamespaceSet:
        """Return the set of one namespace; empty if the namespace has no number."""
        number = self._numbers.get(name)
        return 0 if number is None else 1 << number

    def of(self, names: Iterable[str]) -> NamespaceSet:
        """Return the set of the namespaces that have a number."""
        found = bytearray()
        for name in names:
            if (number := self._numbers.get(name)) is not None:
                if number >= 8 * len(found):
                    found.extend(bytes(number // 8 + 1 - len(found)))
                found[number // 8] |= 1 << number % 8
        return int.from_bytes(found, "little")

    def names(self, members: NamespaceSet) -> Iterator[str]:
        """Yield the namespaces of a set; skip numbers that were freed since."""
        for number in _numbers_in(members):
            if name := self._names[number]:
                yield name


def _numbers_in(members: NamespaceSet) -> Iterator[int]:
    if members.bit_count() <= FEW:
        while members:
            lowest = members & -members
            yield lowest.bit_length() - 1
            members ^= lowest
        return
    for position, byte in enumerate(members.to_bytes((members.bit_length() + 7) // 8, "little")):
        if byte:
            for bit in range(8):
                if byte >> bit & 1:
                    yield 8 * position + bit
