"""Where things lie: local paths, and URIs such as ``s3://key:secret@bucket/run?scheme=http``.

Of a URI, what follows the first question mark are options for the storage. All else is its path,
taken as it is written, with %XX for any byte; a number sign is a character like any other.
"""

import re
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote, unquote

from raynas.errors import UserError

# A text that begins with a URI does not quote it; else a quote ends one, unless within a word.
_SCHEME = r"[A-Za-z][\w+.-]*://"
_URI = re.compile(rf"""\A{_SCHEME}\S*|{_SCHEME}(?:[^\s"'<>]|["'<>](?![\s,.:;)\]}}"'<>\\]|\Z))*""")
# What has digits for a password is a port. A question mark in a password should have been %3F.
_PASSWORD = re.compile(r"(?<=://)[^\s/?:#]*:(?!\d+(?:[/?#]|$))(?:[^\s?]*|[^\s=&]*)@")
_OPTION = re.compile(r"(?<=[?&#])([^=&#?]+)=([^&]*?)(?=&|[).,:;]*$)")
_HARMLESS = frozenset(
    {
        "allow_bucket_creation",
        "allow_bucket_deletion",
        "allow_delayed_open",
        "background_writes",
        "blob_storage_authority",
        "blob_storage_scheme",
        "check_directory_existence_before_creation",
        "default_block_size",
        "buffer_size",
        "dfs_storage_authority",
        "dfs_storage_scheme",
        "endpoint_override",
        "force_virtual_addressing",
        "project_id",
        "region",
        "replication",
        "retry_limit_seconds",
        "scheme",
        "smart_defaults",
        "tls_ca_file_path",
        "tls_verify_certificates",
    }
)
"""Options that may be shown: an unknown one may be a key, whatever its name."""
_AT = re.compile(r"@|%(?:25)*40")  # an endpoint may hold a password, quoted as often as it likes
_IN_URIS = "/:@?&=%!$'()*+,;~"  # what need not be quoted there
_BARE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")


def shown(text: str) -> str:
    """Return a location, or a sentence with locations, without keys and passwords."""
    return _URI.sub(_without_keys, _PASSWORD.sub("***@", text))


def shown_within(value: Any) -> Any:
    """Return a value, or those in a dictionary of dictionaries, as ``shown`` shows texts."""
    if isinstance(value, dict):
        return {name: shown_within(each) for name, each in value.items()}
    return shown(value) if isinstance(value, str) else value


def _without_keys(uri: re.Match[str]) -> str:
    return _OPTION.sub(_without_key, uri[0])


def _without_key(option: re.Match[str]) -> str:
    name, value = option.groups()
    if name not in _HARMLESS or "#" in value:
        return f"{name}=***"
    *passwords, rest = _AT.split(value)
    return f"{name}={'***@' if passwords else ''}{rest}"


def absolute(location: str) -> str:
    """Return a location that means the same in every working directory."""
    return location if "://" in location else str(Path(location).expanduser().absolute())


def openable(location: str) -> str:
    """Return what ``pyarrow.fs.FileSystem.from_uri`` takes for a location.

    Raises:
        UserError: A question mark that no storage reads: it would cut off what follows.
    """
    place, query = _split_query(absolute(location))
    if "://" not in place:
        return place
    if query and ("=" not in query or place.startswith("file:")):
        raise UserError(
            f"{shown(location)}: what follows the question mark is read as options such as "
            "?scheme=http; write %3F for one that belongs to the path"
        )
    scheme, _, rest = _BARE_PERCENT.sub("%25", place + query).partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{quote(host, safe=_IN_URIS + '[]')}{slash}{quote(path, safe=_IN_URIS)}"


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
    if "://" in place:
        path = path.replace("%", "%25").replace("?", "%3F")
    return f"{place.rstrip('/')}/{path}{query}"


def split(location: str) -> tuple[str, str]:
    """Return the folder that something lies in, and its name there."""
    place, query = _split_query(location)
    folder, _, name = place.rpartition("/")
    if "://" in place:
        name = unquote(name)
    return (folder or ("/" if place.startswith("/") else ".")) + query, name


def name_of(location: str) -> str:
    """Return the last part of a location, a bucket without its keys."""
    name = PurePath(_split_query(shown(location))[0]).name
    return name.removeprefix("***@") if "://" in location else name


def _split_query(location: str) -> tuple[str, str]:
    """Cut the query of a URI off; a local name may hold a question mark."""
    place, mark, query = location.partition("?") if "://" in location else (location, "", "")
    return place, mark + query
