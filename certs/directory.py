"""Store the material in a directory, for development and for files mounted otherwise.

`__main__.py` builds the store for `ensure.py` and for `inspect`. The layout is that of
a mounted Secret: the files are links through one link, `..data`, to the directory of
one generation. Replacing that link replaces all files at once, so a reader never sees
the certificate of one pair with the key of another.
"""

import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from certs.material import (
    ALL_FILES,
    Files,
    ForeignObjectError,
    Material,
    OutdatedError,
    Part,
    Stored,
)

CURRENT = "..data"
LOCK = ".lock"
GENERATION = re.compile(r"\.\.[0-9a-f]{16}")
READABLE_BY_OWNER = 0o600
ENTERED_BY_OWNER = 0o700

# Each repeated read means that another run has written, so few reads need many attempts.
READS = 20


class DirectoryStore:
    """Keeps the material in one directory; the version is the name of the generation."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    @property
    def location(self) -> str:
        """Return the directory in words, for log lines and messages."""
        return f"directory {self._directory}"

    async def load(self) -> Stored:
        """Read the current generation.

        A parallel run moves the link, then deletes the previous generation. A read is repeated if
        the link moved during it, because files may be missing.

        Raises:
            ForeignObjectError: the directory has such files, and this tool did not create them.
            OSError: the directory cannot be read, or other runs changed it during each read.
        """
        for _ in range(READS):
            generation = self._generation()
            try:
                stored = self._read(generation)
            except (FileNotFoundError, ForeignObjectError):
                if self._generation() == generation:
                    raise
            else:
                if self._generation() == generation:
                    return stored
        raise OSError(
            f"other runs changed {self.location} {READS} times in a row; run the command again"
        )

    async def save_authority(self, material: Material, stored: Stored) -> Stored:
        """Write a new generation, which holds both parts, and switch to it.

        Raises:
            OutdatedError: another process switched since `load`.
        """
        version = stored.authority.version
        files = {**material.authority_files(), **material.serving_files()}
        self._directory.mkdir(parents=True, exist_ok=True, mode=ENTERED_BY_OWNER)
        with self._locked():
            if self._generation() != version:
                raise OutdatedError
            generation = f"..{secrets.token_hex(8)}"  # as GENERATION matches it
            self._write(generation, files)
            self._switch_to(generation)
            self._remove_all_but(generation)
        return self._stored(files, generation)

    save_serving = save_authority

    def _read(self, generation: str) -> Stored:
        if not generation:
            self._check_unused()
            return Stored(Material())
        folder = self._directory / generation
        return self._stored({path.name: path.read_bytes() for path in folder.iterdir()}, generation)

    @staticmethod
    def _stored(files: Files, generation: str) -> Stored:
        """Return the two parts of one generation.

        The directory belongs to one user, so the key of the CA may be next to the pair.
        """
        material = Material.from_files(files, files)
        return Stored(
            material,
            Part(generation, material.authority_files()),
            Part(generation, material.serving_files()),
        )

    def _generation(self) -> str:
        try:
            return str((self._directory / CURRENT).readlink())
        except FileNotFoundError:
            return ""

    def _check_unused(self) -> None:
        for name in ALL_FILES:
            if os.path.lexists(self._directory / name):
                raise ForeignObjectError(
                    f"{self._directory / name} exists and this tool did not create it; "
                    "choose another directory with --dir"
                )

    def _write(self, generation: str, files: Files) -> None:
        folder = self._directory / generation
        folder.mkdir(mode=ENTERED_BY_OWNER)
        for name, content in files.items():
            with (folder / name).open("xb") as file:
                os.fchmod(file.fileno(), READABLE_BY_OWNER)
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

    def _switch_to(self, generation: str) -> None:
        self._link(CURRENT, Path(generation))
        for name in ALL_FILES:
            link = self._directory / name
            if (self._directory / generation / name).exists():
                if not link.is_symlink():
                    self._link(name, Path(CURRENT) / name)
            elif link.is_symlink():
                link.unlink()

    def _remove_all_but(self, generation: str) -> None:
        """Remove other generations: the previous one, and those of runs that were killed."""
        for folder in self._directory.iterdir():
            if folder.name != generation and GENERATION.fullmatch(folder.name):
                shutil.rmtree(folder, ignore_errors=True)

    def _link(self, name: str, target: Path) -> None:
        """Create or replace a link in one step, because a rename is atomic."""
        fresh = self._directory / f"{name}.new"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(self._directory / name)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._directory / LOCK).open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
