"""A search on a storage that fails now and then, or whenever a certain file exists.

Its settings come by variables: FLAKY_SHARE, of the calls that fail, and FLAKY_WHILE, a path.
"""

import errno
import importlib.util
import os
import random
import sys
from pathlib import Path
from typing import Any

from raynas.storage.run_store import RunStore

SHARE = float(os.environ.get("FLAKY_SHARE", "0"))
BROKEN = Path(os.environ.get("FLAKY_WHILE", "/nowhere"))


class FlakyFiles:
    """A file system whose calls fail; Ray's workers receive it by value with a store."""

    def __init__(self, files: Any, share: float, broken: Path) -> None:
        self._files, self._share, self._broken = files, share, broken
        self._rng = random.Random(0)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # half-way through unpickling
            raise AttributeError(name)
        call = getattr(self._files, name)
        return self._flaky(call) if callable(call) else call

    def _flaky(self, call: Any) -> Any:
        def flaky(*args: Any, **named: Any) -> Any:
            if self._rng.random() < self._share or self._broken.exists():
                raise OSError(errno.EIO, "the disk hiccups")
            return call(*args, **named)

        return flaky


def main() -> int:
    """Run the search."""
    point = RunStore.__init__

    def pointing(store: RunStore, uri: str) -> None:
        point(store, uri)
        store._files = FlakyFiles(store._files, SHARE, BROKEN)

    RunStore.__init__ = pointing  # type: ignore[method-assign]
    spec = importlib.util.spec_from_file_location("search", "launch/search.py")
    assert spec is not None
    assert spec.loader is not None
    search = importlib.util.module_from_spec(spec)
    sys.modules["search"] = search
    spec.loader.exec_module(search)
    code: int = search.main()
    return code


if __name__ == "__main__":
    sys.exit(main())
