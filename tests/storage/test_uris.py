"""Paths and URIs as text: what is shown of them, what lies where, and what opens them."""

import json
from pathlib import Path

import pyarrow.fs as pafs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from raynas.errors import UserError
from raynas.storage.folder import Folder
from raynas.storage.uris import inside, name_of, openable, shown, shown_within, split

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
        ("s3://key:se?cr@et@bucket/run", "s3://***@bucket/run"),  # likewise %3F
        ("abfs://b@a/run?client_secret=s3cr3t", "abfs://b@a/run?client_secret=***"),
        (
            f"s3://bucket/run?access_key=a+b/c=&{ENDPOINT}&sas_token=sv%3D1",
            f"s3://bucket/run?access_key=***&{ENDPOINT}&sas_token=***",
        ),
        (
            "data s3://b/x?sig=abc=: no such folder ('https://h/y?X-Amz-Signature=12,' too).",
            "data s3://b/x?sig=***: no such folder ('https://h/y?X-Amz-Signature=***,' too).",
        ),
        ("s3://bucket/run#access_token=abc", "s3://bucket/run#access_token=***"),
        ("hdfs://host:9000?user=me@work", "hdfs://host:9000?user=***"),
        ("s3://bucket/run?secret_key=ab'cd", "s3://bucket/run?secret_key=***"),
        ("s3://bucket/run?secret_key=ab',\"<c>'", "s3://bucket/run?secret_key=***"),
        (
            "data 's3://b/x?a=b'c\"d<e>f': none, and <s3://g/h?i=j>",
            "data 's3://b/x?a=***': none, and <s3://g/h?i=***>",
        ),
        (
            "s3://b?endpoint_override=http%3A%2F%2Fuser%3Apw%40host%3A9000&scheme=http",
            "s3://b?endpoint_override=***@host%3A9000&scheme=http",
        ),
        ("s3://b?endpoint_override=user:p%2540w%2540host", "s3://b?endpoint_override=***@host"),
        ("s3://b?endpoint_override=user:pw@host:90", "s3://b?endpoint_override=***@host:90"),
        ("--data x?password=none is a name", "--data x?password=none is a name"),
        ("s3://bucket/run", "s3://bucket/run"),
        ("s3://bucket/run@2?scheme=http", "s3://bucket/run@2?scheme=http"),
        ("hdfs://host:9000/run@2", "hdfs://host:9000/run@2"),
        ("/home/me@work/a:b/run", "/home/me@work/a:b/run"),
    ],
)
def test_keys_and_passwords_are_not_shown_and_all_else_is(text: str, seen: str) -> None:
    assert shown(text) == seen


@given(st.text("abcXYZ019_-.", min_size=1), st.text("aB0+/=%~.-_#?:@!*'<>", min_size=1))
def test_what_an_unknown_option_holds_is_never_shown(name: str, secret: str) -> None:
    secret = f"s3cr3t{secret}s3cr3t"
    uri = f"s3://bucket/run?scheme=http&x{name}={secret.replace('&', '')}"

    assert "s3cr3t" not in shown(uri)
    assert "s3cr3t" not in json.dumps(shown_within({"data": uri}))


@given(st.text(st.characters(exclude_characters="/?\0", exclude_categories=["Cs"]), min_size=1))
def test_every_character_of_a_path_counts(name: str) -> None:
    name = f"{name}."  # else . and .. would be other folders
    files, path = pafs.FileSystem.from_uri(openable(inside("mock://bucket", name)))

    assert isinstance(files, pafs.FileSystem)
    assert path == name
    assert split(inside("s3://bucket", name)) == ("s3://bucket", name)
    assert split(inside("/bucket", name)) == ("/bucket", name)


def test_what_is_quoted_already_means_the_same() -> None:
    for uri in ("mock://b/run#1", "mock://b/run%231"):
        assert pafs.FileSystem.from_uri(openable(uri))[1] == "run#1"
    assert openable(f"s3://k:s%2Fe@b/a b%25?{ENDPOINT}") == f"s3://k:s%2Fe@b/a%20b%25?{ENDPOINT}"


@pytest.mark.parametrize("uri", ["s3://b/what?", "mock://b/a?b", "file:///tmp/a?scheme=http"])
def test_a_question_mark_that_would_cut_a_path_off_is_refused(uri: str) -> None:
    with pytest.raises(UserError, match=r"read as options .*; write %3F for one that belongs"):
        openable(uri)


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
        ("s3://bucket/b/a%20%23.png", ("s3://bucket/b", "a #.png")),
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
        ("s3://KEY:SECRET@bucket", "bucket"),
        (f"s3://KEY:SECRET@bucket/?{ENDPOINT}", "bucket"),
        ("s3://KEY:SE/CR@ET@bucket", "bucket"),
        ("s3://KEY:SE?CR@ET@bucket", "bucket"),
        ("abfs://files@account", "files@account"),
        ("data/***@own", "***@own"),
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
