import stat
from dataclasses import replace
from pathlib import Path

import pytest

from certs.directory import DirectoryStore
from certs.material import Material, NotOursError, OutdatedError

FIRST = Material(b"ca", b"ca key", b"certificate", b"key")
SECOND = replace(FIRST, certificate=b"newer certificate", key=b"newer key")


async def test_what_was_saved_is_loaded(tmp_path: Path):
    store = DirectoryStore(tmp_path / "made" / "here")
    saved = await store.save(FIRST, (await store.load()).version)
    assert await store.load() == saved
    assert saved.material == FIRST


async def test_files_are_readable_by_their_owner_alone(tmp_path: Path):
    await DirectoryStore(tmp_path).save(FIRST, "")
    names = ("ca.crt", "ca.key", "tls.crt", "tls.key")
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names} == {0o600}


async def test_all_files_change_in_one_step_through_one_link(tmp_path: Path):
    store = DirectoryStore(tmp_path)
    first = await store.save(FIRST, "")
    generation = tmp_path / "..data"
    before = generation.readlink()
    await store.save(SECOND, first.version)
    assert generation.readlink() != before
    assert (tmp_path / "tls.crt").resolve().parent == (tmp_path / "tls.key").resolve().parent
    assert (tmp_path / "tls.key").read_bytes() == b"newer key"


async def test_nothing_is_left_behind_by_a_replacement(tmp_path: Path):
    store = DirectoryStore(tmp_path)
    await store.save(SECOND, (await store.save(FIRST, "")).version)
    assert _generations(tmp_path) == {(tmp_path / "..data").readlink().name}


async def test_a_run_that_lost_the_race_is_told(tmp_path: Path):
    store = DirectoryStore(tmp_path)
    await store.save(FIRST, "")
    with pytest.raises(OutdatedError):
        await store.save(SECOND, "")
    assert (await store.load()).material == FIRST


async def test_files_of_somebody_else_are_never_overwritten(tmp_path: Path):
    (tmp_path / "tls.crt").write_text("precious")
    with pytest.raises(NotOursError, match="choose another directory"):
        await DirectoryStore(tmp_path).load()
    assert (tmp_path / "tls.crt").read_text() == "precious"


def _generations(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("..*") if path.name != "..data"}
