"""Folders of class folders: which class and which part a file's path says it belongs to."""

from collections import Counter
from collections.abc import Callable, Sequence

from raynas.errors import UserError
from raynas.training.raw import Opener, RawImage, Source, split_named

_IMAGE_ENDINGS = frozenset(
    {"jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "webp", "avif", "tif", "tiff", "ppm",
     "pgm", "pbm", "pnm", "jp2"}
)  # fmt: skip


def read_tree(data: str, files: Sequence[str], opener: Callable[[str], Opener]) -> Source:
    """Return the images of CLASS/.../image or of PART/CLASS/.../image.

    Args:
        data: For messages.
        files: Paths of all files in the folder.
        opener: What opens the image at such a path.

    Raises:
        UserError: No images, or paths that do not tell classes.
    """
    images = [file for file in files if _ending(file) in _IMAGE_ENDINGS]
    if not images:
        raise UserError(
            f"data {data}: no images in it (looked for {', '.join(sorted(_IMAGE_ENDINGS))}); "
            "wanted one sub-folder per class"
        )
    depth = 1 if _has_parts(data, images) else 0
    _refuse_loose(data, images, depth)
    class_names = tuple(sorted({file.split("/")[depth] for file in images}))
    indices = {name: index for index, name in enumerate(class_names)}
    raws = [
        RawImage(
            file,
            indices[file.split("/")[depth]],
            split_named(file.split("/")[0]) if depth else None,
            opener(file),
        )
        for file in images
    ]
    ignored = Counter(map(_ending, set(files).difference(images)))
    kinds = tuple(f"{count} {ending}" for ending, count in ignored.most_common())
    return Source(raws, class_names, kinds)


def _ending(file: str) -> str:
    name = file.rpartition("/")[2]
    return name.rpartition(".")[2].lower() if "." in name else "without an ending"


def _has_parts(data: str, images: Sequence[str]) -> bool:
    """Return whether the folders at the top are parts; refuse some that are beside others.

    They are classes where none is for training, and where one that is called so holds images
    itself: a class of trains.
    """
    tops: dict[str, bool] = {}  # whether all images of a folder lie deeper in it
    for file in images:
        top = file.split("/")[0]
        tops[top] = tops.get(top, True) and file.count("/") > 1
    parts = {top: split_named(top) for top in tops}
    trains = [top for top, part in parts.items() if part == "train"]
    odd = [top for top, part in parts.items() if part is None]
    if trains and not odd:
        return True
    if trains and any(tops[top] for top in trains):
        raise UserError(
            f"data {data}: {odd[0]} lies beside {trains[0]}/, which holds class folders; move "
            "out what is neither train, val nor test"
        )
    return False


def _refuse_loose(data: str, images: Sequence[str], depth: int) -> None:
    """Refuse images outside of a class folder, and a single folder around all classes."""
    for file in images:
        if file.count("/") <= depth:
            part = f"{file.split('/')[0]}/" if depth and "/" in file else ""
            raise UserError(
                f"data {data}: {file} lies in no class folder; wanted {part}CLASS/image, so move "
                "it into the folder of its class, or out of the data"
            )
    (top, *others) = {file.split("/")[0] for file in images}
    if not depth and not others and all(file.count("/") > 1 for file in images):
        raise UserError(
            f"data {data}: all images lie in {top}/, which would be the only class; give that "
            "folder as --data"
        )
