import asyncio
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from certs import directory
from certs.directory import DirectoryStore
from certs.material import ForeignObjectError, Material, OutdatedError, Stored

FIRST = Material(authorities=b"ca", authority_key=b"ca key", certificate=b"certificate", key=b"key")
NO_CONTENT = Stored(Material())
SECOND = replace(FIRST, certificate=b"newer certificate", key=b"newer key")


async def test_what_was_saved_is_loaded(tmp_path: Path):
    store = DirectoryStore(tmp_path / "made" / "here")
    saved = await store.save_serving(FIRST, await store.load())
    assert await store.load() == saved
    assert saved.material == FIRST


async def test_files_are_readable_by_their_owner_alone(tmp_path: Path):
    await DirectoryStore(tmp_path).save_serving(FIRST, NO_CONTENT)
    names = ("ca.crt", "ca.key", "tls.crt", "tls.key")
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in names} == {0o600}


async def test_all_files_change_in_one_step_through_one_link(tmp_path: Path):
    store = DirectoryStore(tmp_path)
    first = await store.save_serving(FIRST, NO_CONTENT)
    generation = tmp_path / "..data"
    before = generation.readlink()
    await store.save_authority(SECOND, first)
    assert generation.readlink() != before
    assert (tmp_path / "tls.crt").resolve().parent == (tmp_path / "tls.key").resolve().parent
    assert (tmp_path / "tls.key").read_bytes() == b"newer key"


async def test_nothing_is_left_behind_by_a_replacement(tmp_path: Path):
    store = DirectoryStore(tmp_path)
    await store.save_serving(SECOND, await store.save_serving(FIRST, NO_CONTENT))
    assert _generations(tmp_path) == {(tmp_path / "..data").readlink().name}


async def test_an_entry_that_is_gone_leaves_no_link_behind(tmp_path: Path):
    store = DirectoryStore(tmp_path)
    with_both = replace(FIRST, path_token=b"new", previous_path_token=b"old", revoked=b"revoked")
    stored = await store.save_serving(with_both, NO_CONTENT)
    assert (await store.load()).material == with_both
    await store.save_serving(replace(with_both, previous_path_token=None), stored)
    assert (tmp_path / "path-token").read_bytes() == b"new"
    assert not (tmp_path / "previous-path-token").is_symlink()


async def test_a_run_that_lost_the_race_gets_an_error(tmp_path: Path):
    store = DirectoryStore(tmp_path)
    await store.save_serving(FIRST, NO_CONTENT)
    with pytest.raises(OutdatedError):
        await store.save_authority(SECOND, NO_CONTENT)
    assert (await store.load()).material == FIRST


async def test_foreign_files_are_not_overwritten(tmp_path: Path):
    (tmp_path / "tls.crt").write_text("precious")
    with pytest.raises(ForeignObjectError, match="choose another directory"):
        await DirectoryStore(tmp_path).load()
    assert (tmp_path / "tls.crt").read_text() == "precious"


async def test_a_directory_that_cannot_be_read_is_not_an_empty_one(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        await DirectoryStore(tmp_path / "file").load()


async def test_a_write_removes_what_a_run_that_was_killed_has_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    store = DirectoryStore(tmp_path)
    first = await store.save_serving(FIRST, NO_CONTENT)
    with monkeypatch.context() as killed:
        killed.setattr(shutil, "rmtree", lambda *_, **__: None)
        second = await store.save_serving(SECOND, first)
    assert len(_generations(tmp_path)) == 2

    await store.save_serving(FIRST, second)

    assert _generations(tmp_path) == {(tmp_path / "..data").readlink().name}


async def test_a_generation_that_is_missing_is_an_error(tmp_path: Path):
    (tmp_path / "..data").symlink_to("..lost")
    with pytest.raises(FileNotFoundError, match=r"\.\.lost"):
        await DirectoryStore(tmp_path).load()


def _one_file(folder: Path, **_options: object) -> None:
    """Delete as a run that was killed, or that a reader overtook, after the first file."""
    (folder / "ca.key").unlink()


@pytest.mark.parametrize("delete", [_one_file, shutil.rmtree])
async def test_a_load_during_a_write_returns_one_whole_generation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delete: Callable[..., None]
):
    await DirectoryStore(tmp_path).save_serving(FIRST, NO_CONTENT)
    monkeypatch.setattr(shutil, "rmtree", delete)
    with _writes_after_the_link_was_read(tmp_path, 1):
        assert (await DirectoryStore(tmp_path).load()).material == SECOND


async def test_the_first_write_of_a_parallel_run_does_not_look_foreign(tmp_path: Path):
    with _writes_after_the_link_was_read(tmp_path, 1):
        assert (await DirectoryStore(tmp_path).load()).material == SECOND


async def test_a_load_gives_up_when_every_read_is_disturbed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(directory, "READS", 3)
    with (
        _writes_after_the_link_was_read(tmp_path, 6),
        pytest.raises(OSError, match=r"other runs changed directory .* 3 times in a row"),
    ):
        await DirectoryStore(tmp_path).load()


@contextmanager
def _writes_after_the_link_was_read(written: Path, writes: int) -> Iterator[None]:
    """Let a parallel run write after each of the next reads of the link `..data`."""
    read, left = Path.readlink, list(range(writes))

    async def write() -> None:
        store = DirectoryStore(written)
        await store.save_authority(SECOND, await store.load())

    def read_then_write(path: Path) -> Path:
        try:
            return read(path)
        finally:
            if left:
                left.pop()
                with pytest.MonkeyPatch.context() as unpatched, ThreadPoolExecutor() as other:
                    unpatched.setattr(Path, "readlink", read)
                    other.submit(asyncio.run, write()).result()

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Path, "readlink", read_then_write)
        yield


def _generations(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("..*") if path.name != "..data"}
