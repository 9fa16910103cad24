"""Which folders of a tree are parts of a data set: by what a person says, else by their names.

Folders such as ``training_set`` and ``test_set`` are parts where they hold folders of the same
names: the classes. Where names leave it open, nothing is guessed: the tree is refused, with what a
person may say instead.
"""

import shlex
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from raynas.data.part_names import (
    PartName,
    is_part_word,
    part_named,
    parts_said,
    place_said,
    words_of,
)
from raynas.errors import UserError

Layout = Mapping[str, PartName | None]
"""Folders of class folders with their parts; ``.`` is all of the tree."""
_SLICES = frozenset(
    "batch chunk cv fold kfold part partition set shard split subset".split()  # noqa: SIM905
)
_NAMED = 3  # folders that a sentence names


def layout_of(data: str, images: Sequence[str], said: str | None) -> Layout:
    """Return where class folders lie.

    Args:
        data: For messages.
        images: Paths of all images in the tree.
        said: As ``--images.parts`` takes it.

    Raises:
        UserError: The tree does not tell, or has no such folders as are said.
    """
    folders = _Folders(images)
    parts = parts_said(said)
    if parts is None:
        parts = _parts_by_name(data, folders)
    for place in parts:
        if not any(place_said(file, {place}) for file in images):
            tops = _listed(folders.tops) or "none"
            raise UserError(
                f"data {data}: --images.parts {said} says {place}, but no images lie there; its "
                f"folders with images are {tops}"
            )
    return {folders.core(place): part for place, part in parts.items()} or {".": None}


class _Folders:
    """The folders of a tree that hold images, themselves or in folders of theirs.

    Attributes:
        tops: Those at the top.
        loose: Images that lie beside them.
    """

    def __init__(self, images: Sequence[str]) -> None:
        self._inner: defaultdict[str, set[str]] = defaultdict(set)
        self._direct = {image.rpartition("/")[0] for image in images}
        for folder in self._direct:
            self._add(folder)
        self.tops = sorted(self._inner[""])
        self.loose = [image for image in images if "/" not in image] if "" in self._direct else []

    def _add(self, folder: str) -> None:
        while folder:
            outer, _, name = folder.rpartition("/")
            self._inner[outer].add(name)
            folder = outer

    def core(self, folder: str) -> str:
        """Return the folder itself, or the one in it that is called alike and is all it holds."""
        while folder not in self._direct and len(self._inner[folder]) == 1:
            (name,) = self._inner[folder]
            own, path = folder.rpartition("/")[2], f"{folder}/{name}"
            alike = name == own or (part_named(own) and part_named(own) == part_named(name))
            if not alike or path in self._direct:
                break
            folder = path
        return folder

    def is_deep(self, folder: str) -> bool:
        """Return whether all images of a folder lie in folders of it."""
        return self.core(folder) not in self._direct

    def inner(self, folder: str) -> set[str]:
        """Return the names of the folders in one; none if it holds images itself."""
        return self._inner[self.core(folder)] if self.is_deep(folder) else set()

    def names(self, folder: str) -> set[str]:
        """Return the names of the folders in one, also of those beside images."""
        return self._inner[folder]

    def parts_in(self, folder: str) -> set[PartName]:
        """Return the parts that folders in one are called after, also beside images."""
        return {part for name in self.names(folder) if (part := part_named(name)) is not None}

    def alike(self, folders: Iterable[str]) -> list[str]:
        """Return the names that folders in at least two of those have."""
        counts = Counter(name for folder in folders for name in self.inner(folder))
        return sorted(name for name, count in counts.items() if count > 1)


def _parts_by_name(data: str, folders: _Folders) -> dict[str, PartName]:
    """Return the folders at the top that are parts; refuse some that may or may not be."""
    found = {top: part_named(top) for top in folders.tops}
    named = {top: part for top, part in found.items() if part is not None}
    odd = [top for top in folders.tops if top not in named]
    if not named:
        _refuse_slices(data, folders)
        _refuse_parts_in_classes(data, folders)
        return {}
    if odd or folders.loose:
        _refuse_others(data, folders, named, [*folders.loose, *odd])
        return {}
    return named if _are_parts(data, folders, named) else {}


def _are_parts(data: str, folders: _Folders, named: Mapping[str, PartName]) -> bool:
    """Return whether folders that are all called like parts are parts, and not classes."""
    tops, kinds = list(named), set(named.values())
    alike = folders.alike(tops)
    trains = [top for top in tops if named[top] == "train"]
    if len(tops) == 1 or all(is_part_word(top) for top in trains):
        return bool(trains) or bool(alike)
    if len(kinds) == 1 and alike:
        raise _undecided(data, folders, tops)
    if trains and len(kinds) > 1 and not alike and all(map(folders.is_deep, tops)):
        raise _unlike(data, folders, named)
    return bool(alike) or (len(kinds) > 1 and not all(map(folders.is_deep, tops)))


def _refuse_others(
    data: str, folders: _Folders, named: Mapping[str, PartName], others: Sequence[str]
) -> None:
    """Refuse folders that are called like parts beside others, where they may well be parts."""
    deep = [top for top in named if folders.is_deep(top)]
    for top in deep:
        plain = is_part_word(top) or len(set(named.values())) > 1
        if named[top] == "train" and plain:
            raise UserError(
                f"data {data}: {others[0]} lies beside {top}/, which holds class folders; move out "
                f"what is neither train, val nor test, or say {_flag(named)}"
            )
        if same := sorted(folders.inner(top).intersection(others)):
            raise UserError(
                f"data {data}: {top}/ holds folders that are called like those beside it "
                f"({_listed(same)}); move those into train/, or say "
                f"{_flag({'.': 'train', top: named[top]})}"
            )
    for other in others:
        for top in deep:
            if folders.alike((top, other)):
                raise _undecided(data, folders, [top, other])
    if not deep and len(set(named.values())) > 1 and "train" in named.values():
        raise UserError(
            f"data {data}: {_listed([f'{top}/' for top in named])} are called like parts and hold "
            "images themselves, wanted a folder for each class in them; or say --images.parts none "
            "if each is a class"
        )


def _refuse_slices(data: str, folders: _Folders) -> None:
    """Refuse folds and the like with folders of the same names in them."""
    slices = [top for top in folders.tops if _SLICES.intersection(words_of(top))]
    if folders.alike(slices):
        raise _undecided(data, folders, slices)


def _refuse_parts_in_classes(data: str, folders: _Folders) -> None:
    """Refuse class folders that hold train and test, each for itself, or most of them do."""
    both = [top for top in folders.tops if {"train"} < folders.parts_in(top)]
    inner = [folders.inner(top) for top in folders.tops]
    kinds = {part_named(name) for name in set[str]().union(*inner)} if all(inner) else set()
    if len(both) > 1 or (len(inner) > 1 and {"train"} < kinds and None not in kinds):
        top = (both or folders.tops)[0]
        raise UserError(
            f"data {data}: {top}/ and others hold parts ({_listed(sorted(folders.names(top)))}); "
            f"wanted train/{top} and so on, so turn the folders round, or say --images.parts none "
            "to cut parts off by the seed"
        )


def _undecided(data: str, folders: _Folders, tops: Sequence[str]) -> UserError:
    names = _listed(folders.alike(tops))
    parts: dict[str, PartName] = {top: part_named(top) or "train" for top in tops}
    if len(set(parts.values())) == 1:
        parts[tops[-1]] = "train" if parts[tops[-1]] != "train" else "test"
    return UserError(
        f"data {data}: {_listed([f'{top}/' for top in tops])} hold folders of the same names "
        f"({names}), so they may be parts or classes; say which, such as {_flag(parts)}, or "
        "--images.parts none if each is a class"
    )


def _unlike(data: str, folders: _Folders, named: Mapping[str, PartName]) -> UserError:
    """Return the refusal of parts by name that have no class in common."""
    inner = sorted(set().union(*map(folders.inner, named)))
    lower = Counter(map(str.lower, inner))
    twins = [name for name in inner if lower[name.lower()] > 1]
    names = _listed(sorted(twins or inner, key=str.lower))
    why = (
        f"hold folders whose names differ in upper and lower case only ({names}); rename those"
        if twins
        else f"are called like parts, but hold no folders of the same name ({names}); rename those"
    )
    trains = {top: part for top, part in named.items() if part == "train"}
    return UserError(
        f"data {data}: {_listed([f'{top}/' for top in named])} {why}, or say which are parts, such "
        f"as {_flag(trains)} to leave the others out, or --images.parts none if each is a class"
    )


def _flag(parts: Mapping[str, PartName]) -> str:
    """Return the flag that says some parts, to be pasted into a shell.

    It takes neither commas nor outer blanks in a name, so such folders must be renamed first.
    """
    order = sorted(parts, key=lambda top: ("train", "val", "test").index(parts[top]))
    new = {top: top.strip().replace(",", "_") for top in order}
    flag = shlex.quote(",".join(f"{parts[top]}={new[top]}" for top in order))
    renamed = [f"{top!r} to {name}" for top, name in new.items() if top != name]
    return f"--images.parts {flag}" + (f" (rename {' and '.join(renamed)})" if renamed else "")


def _listed(names: Iterable[str]) -> str:
    first, *others = [list(names)[:_NAMED], *list(names)[_NAMED:]]
    return ", ".join(first) + (", ..." if others else "")
