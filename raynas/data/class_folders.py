"""Folders of class folders: which class and which part a file's path says it belongs to."""

import os
from collections import Counter
from collections.abc import Sequence
from posixpath import dirname

from raynas.data.file_listing import IMAGE_ENDINGS, Listing, ending
from raynas.data.file_opening import Folder
from raynas.data.folder_layouts import Layout, layout_of
from raynas.data.image_index import Source, image_index
from raynas.data.part_names import place_said
from raynas.errors import UserError


def read_tree(
    data: str, place: Folder, listing: Listing, parts: str | None = None, one_class: bool = False
) -> Source:
    """Return the images of CLASS/.../image or of PART/CLASS/.../image.

    Args:
        data: For messages.
        place: The folder.
        listing: All files in it.
        parts: Which folders are parts, as ``--images.parts`` says it.
        one_class: Whether a single folder may be a class.

    Raises:
        UserError: No images, or paths that do not tell classes.
    """
    files = list(listing.paths)
    images = [file for file in files if ending(file) in IMAGE_ENDINGS]
    if not images:
        raise UserError(
            f"data {data}: no images in it (looked for {', '.join(sorted(IMAGE_ENDINGS))}); "
            "wanted one sub-folder per class"
        )
    layout = layout_of(data, images, parts)
    tops = {folder: place_said(f"{folder}/", layout) for folder in set(map(dirname, images))}
    placed = [(file, top) for file in images if (top := tops[dirname(file)]) is not None]
    _refuse_loose(data, placed, parts)
    if not one_class:
        _refuse_wrapped(data, images, layout)
    classes = [_inside(file, top).partition("/")[0] for file, top in placed]
    class_names = tuple(sorted(set(classes)))
    indices = {name: index for index, name in enumerate(class_names)}
    sizes, times = zip(*(listing.stamps[file] for file, _ in placed), strict=True)
    index = image_index(
        place,
        [os.fsencode(listing.paths[file][len(place.root) + 1 :]) for file, _ in placed],
        [indices[name] for name in classes],
        [layout[top] for _, top in placed],
        file_bytes=sizes,
        modified_ns=times,
    )
    ignored = Counter(map(ending, set(files).difference(images)))
    kinds = tuple(f"{count} {kind}" for kind, count in ignored.most_common())
    outside = Counter(file.partition("/")[0] for file in set(images).difference(dict(placed)))
    return Source(
        index,
        class_names,
        kinds,
        tuple(f"{top} ({count:,} images outside of the parts)" for top, count in outside.items()),
        tuple(f"{part}: {top}" for top, part in layout.items() if top != part and part),
    )


def _inside(file: str, place: str) -> str:
    return file if place == "." else file[len(place) + 1 :]


def _refuse_loose(data: str, placed: Sequence[tuple[str, str]], said: str | None) -> None:
    """Refuse images outside of a class folder."""
    for file, place in placed:
        if "/" not in _inside(file, place):
            part = "" if place == "." else f"{place}/"
            hint = f", or say --images.parts none if {part} is a class" if part and not said else ""
            raise UserError(
                f"data {data}: {file} lies in no class folder; wanted {part}CLASS/image, so move "
                f"it into the folder of its class, or out of the data{hint}"
            )


def _refuse_wrapped(data: str, images: Sequence[str], layout: Layout) -> None:
    """Refuse a single folder, or one in another, around all classes."""
    if layout != {".": None}:
        return
    wrapper, folders = "", [file.split("/")[:-1] for file in images]
    while all(len(folder) > 1 for folder in folders) and len({folder[0] for folder in folders}) < 2:
        wrapper += f"{folders[0][0]}/"
        folders = [folder[1:] for folder in folders]
    if wrapper:
        raise UserError(
            f"data {data}: all images lie in {wrapper}, which would be the only class; give that "
            "folder as --data"
        )
