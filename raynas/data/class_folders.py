"""Folders of class folders: which class and which part a file's path says it belongs to."""

from collections import Counter
from collections.abc import Callable, Sequence

from raynas.data.encoded_images import Opener, RawImage, Source
from raynas.data.file_listing import IMAGE_ENDINGS, ending
from raynas.data.folder_layouts import Layout, layout_of
from raynas.data.part_names import place_said
from raynas.errors import UserError


def read_tree(
    data: str, files: Sequence[str], opener: Callable[[str], Opener], parts: str | None = None
) -> Source:
    """Return the images of CLASS/.../image or of PART/CLASS/.../image.

    Args:
        data: For messages.
        files: Paths of all files in the folder.
        opener: What opens the image at such a path.
        parts: Which folders are parts, as ``--images.parts`` says it.

    Raises:
        UserError: No images, or paths that do not tell classes.
    """
    images = [file for file in files if ending(file) in IMAGE_ENDINGS]
    if not images:
        raise UserError(
            f"data {data}: no images in it (looked for {', '.join(sorted(IMAGE_ENDINGS))}); "
            "wanted one sub-folder per class"
        )
    layout = layout_of(data, images, parts)
    placed = [(file, place) for file in images if (place := place_said(file, layout)) is not None]
    _refuse_loose(data, placed, parts)
    _refuse_wrapped(data, images, layout)
    classes = [_inside(file, place).partition("/")[0] for file, place in placed]
    class_names = tuple(sorted(set(classes)))
    indices = {name: index for index, name in enumerate(class_names)}
    raws = [
        RawImage(file, indices[name], layout[place], opener(file))
        for (file, place), name in zip(placed, classes, strict=True)
    ]
    ignored = Counter(map(ending, set(files).difference(images)))
    kinds = tuple(f"{count} {kind}" for kind, count in ignored.most_common())
    outside = Counter(file.partition("/")[0] for file in set(images).difference(dict(placed)))
    return Source(
        raws,
        class_names,
        kinds,
        tuple(f"{top} ({count:,} images outside of the parts)" for top, count in outside.items()),
        tuple(f"{part}: {place}" for place, part in layout.items() if place != part and part),
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
