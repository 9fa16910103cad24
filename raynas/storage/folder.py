"""The files of a run folder, on a local path or any pyarrow filesystem URI.

Every file appears whole or not at all (a rename locally, a finished upload in an object store),
and what fails for a moment is tried again.
"""

import contextlib
import re
import shutil
import tempfile
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any, Self, TypeVar

import pyarrow as pa
import pyarrow.fs as pafs

from raynas.errors import UserError
from raynas.storage.retry import StorageError, patiently
from raynas.storage.uris import absolute, inside, openable, refuse_foreign_letters, shown
from raynas.storage.write_test import passing_file

_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{32}")
_CHUNK = 2**22  # bytes of an upload
_Found = TypeVar("_Found")


class Folder:
    """A folder of files; a picklable value without open files.

    Attributes:
        address: Its absolute path or URI, with which it can be opened again.
        uri: The same without keys and passwords, for messages and tables.
        name: The last part of its path.
        written: Bytes written by this object so far.
        may_write: Raises where writing and deleting are refused by now; None: they never are.
    """

    def __init__(self, uri: str) -> None:
        """Point at a run folder, which need not exist.

        Args:
            uri: A local path or a URI such as ``s3://bucket/run``.
        """
        self.address = absolute(uri)
        self.uri = shown(self.address)
        refuse_foreign_letters(self.uri, "path")
        try:
            filesystem, path = pafs.FileSystem.from_uri(openable(uri))
        except (pa.ArrowInvalid, OSError) as error:
            raise UserError(
                shown(f"run folder {uri}: not a path or URI that works: {error}")
            ) from error
        self.name = path.rstrip("/").rsplit("/", 1)[-1]
        self.written = 0
        self.may_write: Callable[[], None] | None = None
        self._is_local = isinstance(filesystem, pafs.LocalFileSystem)
        self._files = pafs.SubTreeFileSystem(path, filesystem)

    def __getstate__(self) -> dict[str, Any]:
        """What may be written is known where it is decided alone."""
        return vars(self) | {"may_write": None}

    @classmethod
    def create(cls, uri: str) -> Self:
        """Open a run folder for writing and create it where it is missing.

        Raises:
            UserError: The folder cannot be written.
        """
        store = cls(uri)
        try:
            store.write_bytes(".writable", b"")
            store.delete(".writable")
        except StorageError as error:
            raise UserError(
                f"run folder {store.uri}: cannot write there ({error.__cause__}); choose another "
                "--run"
            ) from error
        return store

    @property
    def local_folder(self) -> Path | None:
        """The run folder on this machine's file system; None where it is an object store."""
        return Path(self._files.base_path) if self._is_local else None

    def refuse_unwritable(self) -> None:
        """Say early, and without leaving anything, that a run folder cannot be written.

        Raises:
            UserError: A local one cannot be made, or not be written; or there is no such bucket.
        """
        if self.local_folder is None:
            self._refuse_missing_bucket()
            return
        try:
            with passing_file(self.local_folder):
                return
        except OSError as error:
            raise UserError(
                f"run folder {self.uri}: cannot write there ({error}); choose another --run"
            ) from error

    def _refuse_missing_bucket(self) -> None:
        bucket, files = self._files.base_path.split("/")[0], self._files.base_fs
        info = self._patiently("looking", lambda: files.get_file_info(bucket))
        if files.type_name in {"s3", "gcs"} and info.type == pafs.FileType.NotFound:
            raise UserError(
                f"run folder {self.uri}: there is no bucket {bucket}; make it, or choose another "
                "--run"
            )

    def write_bytes(self, path: str, content: bytes) -> None:
        """Write a file of the folder so that it appears whole or not at all."""
        self.write(path, lambda stream: stream.write(content))

    def write(self, path: str, fill: Callable[[Any], object]) -> None:
        """Write a file of the folder so that it appears whole or not at all.

        Args:
            path: Where in the folder.
            fill: Writes it into an open binary file; may be called again.

        Raises:
            StorageError: Here and below: the storage goes on failing, is full, or forbids it.
        """
        refuse_foreign_letters(path, "file")
        if self.may_write:
            self.may_write()
        parent = path.rpartition("/")[0] or "."
        self._patiently("writing", lambda: self._files.create_dir(parent, recursive=True))
        write = self._rename if self._is_local else self._upload_uninterrupted
        self.written += self._patiently(f"writing {path}", lambda: write(path, fill))

    def _rename(self, path: str, fill: Callable[[Any], object]) -> int:
        """Write a hidden file beside and rename it; return its bytes."""
        parent, _, name = path.rpartition("/")
        hidden = f"{parent}/.{name}.{uuid.uuid4().hex}"
        try:
            with self._files.open_output_stream(hidden) as stream:
                fill(stream)
                size: int = stream.tell()
            self._files.move(hidden, path)
        except BaseException:
            with contextlib.suppress(OSError):
                self._files.delete_file(hidden)
            raise
        return size

    def _upload_uninterrupted(self, path: str, fill: Callable[[Any], object]) -> int:
        """Upload by a thread, which no signal interrupts, and wait for it.

        An upload that was begun appears however it ends: closing its stream completes it, with
        what has been sent so far. So Ctrl-C waits, and a second one leaves the thread to end before
        the process does. A process that is killed leaves the object as it was.
        """
        thread = ThreadPoolExecutor(1)
        upload = thread.submit(self._upload, path, fill)
        thread.shutdown(wait=False)
        try:
            return upload.result()
        finally:
            wait([upload])

    def _upload(self, path: str, fill: Callable[[Any], object]) -> int:
        """Upload what is whole."""
        with tempfile.SpooledTemporaryFile(_CHUNK) as spool:
            fill(spool)
            size = spool.tell()
            spool.seek(0)
            with self._files.open_output_stream(path) as stream:
                shutil.copyfileobj(spool, stream, _CHUNK)
        return size

    def read_bytes(self, path: str) -> bytes:
        """Return the content of a file of the run folder.

        Raises:
            FileNotFoundError: There is no such file.
        """
        return self._patiently(f"reading {path}", lambda: self._read(path))

    def _read(self, path: str) -> bytes:
        with self._files.open_input_file(path) as stream:
            content: bytes = stream.read()
        return content

    def head(self, path: str, count: int) -> tuple[bytes, int]:
        """Return the first bytes of a file, as many as there are, and how many it has in all.

        Raises:
            FileNotFoundError: There is no such file.
        """
        return self._patiently(f"reading {path}", lambda: self._read_head(path, count))

    def _read_head(self, path: str, count: int) -> tuple[bytes, int]:
        with self._files.open_input_file(path) as stream:
            return stream.read(count), stream.size()

    def put_aside(self, path: str) -> str:
        """Move a file to where nothing looks for it; return that place."""
        aside = f"damaged/{path}"
        self.write_bytes(aside, self.read_bytes(path))
        self.delete(path)
        return aside

    def has(self, path: str) -> bool:
        """Return whether the run folder holds that file."""
        info = self._patiently("looking", lambda: self._files.get_file_info(path))
        return bool(info.type == pafs.FileType.File)

    def delete(self, path: str) -> None:
        """Delete a file of the run folder."""
        if self.may_write:
            self.may_write()
        self._patiently(f"deleting {path}", lambda: self._files.delete_file(path))

    def list_files(self, folder: str) -> list[str]:
        """Return the names of the visible files in a folder of the run folder."""
        selector = pafs.FileSelector(folder, allow_not_found=True)
        infos = self._patiently(f"listing {folder}", lambda: self._files.get_file_info(selector))
        return [
            info.base_name
            for info in infos
            if info.type == pafs.FileType.File and not info.base_name.startswith(".")
        ]

    def list_folders(self) -> list[str]:
        """Return the names of the visible folders in the run folder."""
        selector = pafs.FileSelector("", allow_not_found=True)
        infos = self._patiently("listing", lambda: self._files.get_file_info(selector))
        return [
            info.base_name
            for info in infos
            if info.type == pafs.FileType.Directory and not info.base_name.startswith(".")
        ]

    def size(self) -> int:
        """Return the bytes that the run folder takes."""
        selector = pafs.FileSelector("", recursive=True, allow_not_found=True)
        infos = self._patiently("listing", lambda: self._files.get_file_info(selector))
        return sum(info.size or 0 for info in infos)

    def sweep(self) -> None:
        """Delete what writers that were killed have left behind, half-written and hidden."""
        # not ".", which is a file like any other to an object store
        selector = pafs.FileSelector("", recursive=True, allow_not_found=True)
        for info in self._patiently("listing", lambda: self._files.get_file_info(selector)):
            if _HALF_WRITTEN.fullmatch(info.base_name):
                self.delete(info.path)

    def _patiently(self, doing: str, work: Callable[[], _Found]) -> _Found:
        return patiently(work, f"run folder {self.uri}: {doing}")

    def locate(self, path: str) -> str:
        """Return the full path or URI of a file of the folder, for a person to read."""
        return inside(self.uri, path)
