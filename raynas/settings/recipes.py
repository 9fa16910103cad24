"""Recipes by name: TOML files of how networks are trained, whatever found them."""

from dataclasses import replace
from pathlib import Path

from raynas.errors import UserError
from raynas.settings.following import with_length
from raynas.settings.settings import Settings
from raynas.settings.toml_files import read_tree, with_tree

_TABLES = {"retrain", "images"}


def load_recipe(recipe: str, folder: Path, settings: Settings) -> Settings:
    """Return settings with those of a recipe: ``folder/recipe.toml``, or a TOML file by its path.

    Args:
        recipe: Its name or path.
        folder: Where those with a name lie.
        settings: What holds where the recipe says nothing, such as those of a method.

    Raises:
        UserError: No such file, no valid TOML, a setting that does not exist, or one that is none
            of a training.
    """
    tree, where = read_tree("recipe", recipe, folder)
    others = sorted(set(tree) - _TABLES)
    if others:
        raise UserError(
            f"{where}: got {', '.join(others)}, but a recipe holds [retrain] and [images] alone; "
            "move what is left into a method, launch/settings/NAME.toml"
        )
    found = with_tree(replace(settings, recipe=recipe), tree, where)
    return with_length(found, tree.get("retrain", ()), where)


def recipes_beside(methods: Path) -> Path:
    """Return the folder of the recipes, which lies beside that of the methods."""
    return methods.parent / "recipes"
