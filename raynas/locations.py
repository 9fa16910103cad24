"""Where things lie: local paths, and URIs such as ``s3://key:secret@bucket/run?scheme=http``."""

import re
from pathlib import PurePath

from raynas.errors import UserError

_SECRET = re.compile(r"(?<=://)[^\s/?:]*:(?!\d+/)[^\s?]*@")  # what has digits there is a port


def shown(text: str) -> str:
    """Return a location, or a sentence with locations, without keys and passwords."""
    return _SECRET.sub("***@", text)


def refuse_foreign_letters(text: str, what: str) -> None:
    """Refuse a name whose bytes are no UTF-8, which neither Arrow nor Ray can open.

    Args:
        text: As Python reads it, with surrogates in the place of those bytes.
        what: It is, such as a path or a flag.

    Raises:
        UserError: It has such bytes.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{what} {text}: wanted a name in UTF-8; rename it") from error


def inside(folder: str, path: str) -> str:
    """Return where something in a folder lies; a URI's query stays at its end."""
    place, query = _split_query(folder)
    return f"{place.rstrip('/')}/{path}{query}"


def split(location: str) -> tuple[str, str]:
    """Return the folder that something lies in, and its name there."""
    place, query = _split_query(location)
    folder, _, name = place.rpartition("/")
    return (folder or ("/" if place.startswith("/") else ".")) + query, name


def name_of(location: str) -> str:
    """Return the last part of a location."""
    return PurePath(_split_query(location)[0]).name


def _split_query(location: str) -> tuple[str, str]:
    """Cut the query of a URI off; a local name may hold a question mark."""
    place, mark, query = location.partition("?") if "://" in location else (location, "", "")
    return place, mark + query
