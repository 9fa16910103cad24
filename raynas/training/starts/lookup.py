"""Where trained weights are looked for by what a person calls them, packages first."""

import difflib

from raynas.errors import UserError
from raynas.nets.rivals import TIMM, known_names
from raynas.storage.folder import Folder
from raynas.storage.run_store import RunStore
from raynas.storage.uris import shown, split
from raynas.training.starts.checkpoint_files import ENDINGS, SAFETENSORS, read_tensors
from raynas.training.starts.libraries import PACKAGES, from_package, from_timm, from_torchvision
from raynas.training.starts.raynas_folders import CONFIG, from_export, from_run
from raynas.training.starts.source import Source, refuse


def find_source(text: str) -> Source:
    """Return trained weights by their name or place.

    Looked up in this order: a network whose weights a package ships, one of torchvision, timm/NAME,
    a file of weights, an export of raynas, a run of raynas.

    Args:
        text: The name, a path or a URI.

    Raises:
        UserError: There is none, a package is missing, a download fails, or a file is damaged or
            would execute code.
    """
    if text in PACKAGES:
        return from_package(text)
    if text in known_names():
        return from_torchvision(text)
    if text.startswith(TIMM):
        return from_timm(text)
    if text.lower().endswith(ENDINGS):
        return _from_file(text)
    return _from_folder(text)


def _from_file(text: str) -> Source:
    folder, name = split(text)
    try:
        content = Folder(folder).read_bytes(name)
    except FileNotFoundError:
        refuse(text, "there is no such file; check the path")
    tensors = read_tensors(text, name.lower(), content)
    is_ordered = not name.lower().endswith(SAFETENSORS)
    return Source(text, "", "file", tensors, is_ordered=is_ordered)


def _from_folder(text: str) -> Source:
    if Folder(text).has(CONFIG):
        return from_export(text)
    try:
        store = RunStore.open(text)
    except UserError:
        if within := _exports_in(text):
            refuse(text, f"it holds exports; give one of them, such as {within[0]}, or the run")
        known = [*PACKAGES, *known_names()]
        near = difflib.get_close_matches(text, known, n=1)
        hint = f"did you mean {near[0]}?" if near else "wanted one such as efficientnet_lite0"
        raise UserError(
            f"--start {shown(text)}: neither a network of a package or of torchvision, nor "
            f"timm/NAME, nor a file that ends in {', '.join(ENDINGS)}, nor a folder of an export "
            f"or of a run; {hint}"
        ) from None
    return from_run(text, store)


def _exports_in(text: str) -> list[str]:
    """Return the folders of exports that lie in a folder, such as the exports of a run."""
    folder = Folder(text)
    names = sorted(name for name in folder.list_folders() if folder.has(f"{name}/{CONFIG}"))
    return [folder.locate(name) for name in names]
