"""Paths and URIs as text: what is shown of them, and what lies where."""

from pathlib import Path

import pytest

from raynas.errors import UserError
from raynas.folder import Folder
from raynas.locations import inside, name_of, shown, split

ENDPOINT = "endpoint_override=127.0.0.1:9000&scheme=http"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("s3://key:secret@bucket/run", "s3://***@bucket/run"),
        (f"s3://key:secret@bucket/run?{ENDPOINT}", f"s3://***@bucket/run?{ENDPOINT}"),
        ("s3://key:se/cr@et@bucket/run", "s3://***@bucket/run"),  # a / should have been %2F
        ("abfs://:secret@files/run", "abfs://***@files/run"),
        (
            "cannot open 's3://a:b@c/d' or s3://e:f@g/h",
            "cannot open 's3://***@c/d' or s3://***@g/h",
        ),
        ("s3://bucket/run", "s3://bucket/run"),
        ("s3://bucket/run@2?scheme=http", "s3://bucket/run@2?scheme=http"),
        ("hdfs://host:9000/run@2", "hdfs://host:9000/run@2"),
        ("/home/me@work/a:b/run", "/home/me@work/a:b/run"),
    ],
)
def test_keys_and_passwords_are_not_shown_and_all_else_is(text: str, seen: str) -> None:
    assert shown(text) == seen


@pytest.mark.parametrize(
    ("folder", "found"),
    [
        ("/data/run", "/data/run/tables"),
        ("/data/run/", "/data/run/tables"),
        ("/data/what?", "/data/what?/tables"),
        ("s3://bucket/run", "s3://bucket/run/tables"),
        (f"s3://bucket/run/?{ENDPOINT}", f"s3://bucket/run/tables?{ENDPOINT}"),
    ],
)
def test_a_folder_s_content_lies_before_the_query(folder: str, found: str) -> None:
    assert inside(folder, "tables") == found


@pytest.mark.parametrize(
    ("location", "parts"),
    [
        ("a.png", (".", "a.png")),
        ("/a.png", ("/", "a.png")),
        ("b/a.png", ("b", "a.png")),
        ("s3://bucket/b/a.png", ("s3://bucket/b", "a.png")),
        (f"s3://bucket/b/a.png?{ENDPOINT}", (f"s3://bucket/b?{ENDPOINT}", "a.png")),
    ],
)
def test_a_file_is_split_into_folder_and_name(location: str, parts: tuple[str, str]) -> None:
    assert split(location) == parts


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("digits", "digits"),
        ("a/b/", "b"),
        ("s3://bucket/images/", "images"),
        (f"s3://key:secret@bucket/images?{ENDPOINT}", "images"),
    ],
)
def test_a_location_is_named_by_its_last_part(location: str, name: str) -> None:
    assert name_of(location) == name


@pytest.mark.parametrize("uri", ["caf\udce9", "s3://bucket/caf\udce9"])
def test_a_name_that_is_not_utf_8_is_refused_before_anything_is_opened(uri: str) -> None:
    with pytest.raises(UserError, match="wanted a name in UTF-8; rename it"):
        Folder(uri)


def test_a_file_whose_name_is_not_utf_8_is_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError, match="wanted a name in UTF-8; rename it"):
        Folder(str(tmp_path / "new")).write_bytes("caf\udce9.png", b"")

    assert not list(tmp_path.iterdir())
