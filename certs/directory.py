"""Material in a directory, for development and for clusters that deliver certificates by other means.

Laid out as the kubelet lays out a mounted Secret: the files are links through one link, `..data`, to a directory of one
generation. Replacing that one link replaces all files at once, so a reader can never see the certificate of one pair with the key of another.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from certs.material import Material, NotOursError, OutdatedError, Stored

CURRENT = "..data"
LOCK = ".lock"
READABLE_BY_OWNER = 0o600
ENTERED_BY_OWNER = 0o700


class DirectoryStore:
    """The four files in one directory; the version is the name of the generation."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def place(self) -> str:
        """Where it is, in words for people."""
        return f"directory {self._directory}"

    async def load(self) -> Stored:
        """Read the current generation.

        Raises:
            NotOursError: the directory has such files, but laid out by somebody else.
        """
        generation = self._generation()
        if not generation:
            self._refuse_strangers()
            return Stored(Material(), "")
        files = {path.name: path.read_bytes() for path in (self._directory / generation).iterdir()}
        return Stored(Material.from_files(files), generation)

    async def save(self, material: Material, version: str) -> Stored:
        """Write a new generation and switch to it.

        Raises:
            OutdatedError: another process switched since `load`.
        """
        self._directory.mkdir(parents=True, exist_ok=True, mode=ENTERED_BY_OWNER)
        with self._locked():
            if self._generation() != version:
                raise OutdatedError
            generation = f"..{secrets.token_hex(8)}"
            self._write(generation, material)
            self._switch_to(generation)
            if version:
                shutil.rmtree(self._directory / version, ignore_errors=True)
        return Stored(material, generation)

    def _generation(self) -> str:
        try:
            return str((self._directory / CURRENT).readlink())
        except OSError:
            return ""

    def _refuse_strangers(self) -> None:
        for name in Material().as_files():
            if os.path.lexists(self._directory / name):
                raise NotOursError(
                    f"{self._directory / name} is there and was not made by this tool; choose another directory"
                )

    def _write(self, generation: str, material: Material) -> None:
        folder = self._directory / generation
        folder.mkdir(mode=ENTERED_BY_OWNER)
        for name, content in material.as_files().items():
            descriptor = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, READABLE_BY_OWNER)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(descriptor)

    def _switch_to(self, generation: str) -> None:
        self._link(CURRENT, Path(generation))
        for name in Material().as_files():
            if not (self._directory / name).is_symlink():
                self._link(name, Path(CURRENT) / name)

    def _link(self, name: str, target: Path) -> None:
        """Make or replace a link in one step: a rename is atomic, removing and making again is not."""
        fresh = self._directory / f"{name}.new"
        with suppress(FileNotFoundError):
            fresh.unlink()
        fresh.symlink_to(target)
        fresh.replace(self._directory / name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._directory / LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
