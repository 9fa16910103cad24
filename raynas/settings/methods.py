"""Methods by name: TOML files of settings."""

from pathlib import Path

from raynas.errors import UserError
from raynas.settings.following import with_length
from raynas.settings.settings import Settings
from raynas.settings.toml_files import read_tree, with_tree


def load_method(method: str, folder: Path) -> Settings:
    """Return the settings of a method: ``folder/method.toml``, or a TOML file by its path.

    Raises:
        UserError: No such file, no valid TOML, or a setting that does not exist or is a recipe.
    """
    tree, where = read_tree("method", method, folder)
    if "recipe" in tree:
        raise UserError(f"{where}: got a recipe, wanted its settings; or give it by --recipe")
    found = with_tree(Settings(method=method), tree, where)
    return with_length(found, tree.get("retrain", ()), where)


def method_label(method: str) -> str:
    """Return a method's name where a file or folder bears it: ``imagenet-spos``, or a file's stem.

    Args:
        method: A name, or the path to a TOML file.
    """
    return Path(method).stem if method.endswith(".toml") else method.replace("/", "-")
