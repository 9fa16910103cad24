"""Tables in any width: what is left out, what is folded, what is continued."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from raynas.reporting.summary import outcome_columns
from raynas.terminal.text_tables import Column, TextTable, folded

CHAIN = "-".join(map(str, [0, 3, 5, 0, 4, 0, 3, 3, 0, 0, 2, 2, 5, 3, 0, 3, 0, 5, 4, 1]))
CELLS = "52-80-151-197-42-164-94-304"


def shown(table: TextTable, width: int) -> list[str]:
    """Return the lines of a table in so many columns."""
    output = io.StringIO()
    Console(file=output, width=width).print(table)
    return output.getvalue().splitlines()


def outcomes(architecture: str) -> TextTable:
    row = ["1", architecture, "22.5164", "293.111M", "3.001M", "93.89", "93.49", "20", "finished"]
    columns = outcome_columns("val %", "test %", ())
    return TextTable(columns, [row, ["2", *row[1:]]])


def read_back(lines: list[str], head: str) -> list[str]:
    """Return the texts of a folded column, put together again; rows begin with a number."""
    at = next(line for line in lines if head in line).index(head)
    begun, found = lines[1 + next(i for i, line in enumerate(lines) if head in line) :], []
    for line in begun:
        if line.startswith("not shown"):
            break
        piece = line[at:].split("  ")[0].strip()
        if line[:at].strip():
            found.append(piece)
        else:
            found[-1] += piece
    return found


def test_with_room_enough_each_row_is_a_line_with_everything() -> None:
    head, first, _ = shown(outcomes(CHAIN), 200)

    heads = "rank architecture score MACs params val % test % epochs status"
    assert head.split() == heads.split()
    assert first.split() == f"1 {CHAIN} 22.5164 293.111M 3.001M 93.89 93.49 20 finished".split()


@pytest.mark.parametrize(
    ("width", "left_out"),
    [(80, ["epochs"]), (40, ["score", "MACs", "params", "epochs", "status"])],
)
@pytest.mark.parametrize("architecture", [CHAIN, CELLS])
def test_lesser_columns_go_first_and_the_architecture_stays_whole(
    architecture: str, width: int, left_out: list[str]
) -> None:
    lines = shown(outcomes(architecture), width)

    assert read_back(lines, "architecture") == [architecture] * 2
    notes = " ".join(" ".join(lines).partition("not shown in ")[2].split())
    assert notes == f"{width} columns: {', '.join(left_out)}"
    assert all("93.89" in line for line in lines if line.lstrip()[:2] in {"1 ", "2 "})


@given(st.integers(24, 130), st.lists(st.integers(0, 400), min_size=1, max_size=40))
def test_in_any_width_no_line_is_longer_and_no_architecture_is_cut(
    width: int, choices: list[int]
) -> None:
    architecture = "-".join(map(str, choices))
    lines = shown(outcomes(architecture), width)

    assert max(map(cell_len, lines)) <= width
    assert read_back(lines, "archi") == [architecture] * 2


def test_what_no_column_can_be_left_out_of_is_continued_with_its_names() -> None:
    columns = [Column("name", folds=True), *(Column(f"measure {i}") for i in range(5))]
    lines = shown(TextTable(columns, [["mine", *"abcde"]]), 40)

    rows = [" ".join(line.split()) for line in lines if line.startswith("mine")]
    assert rows == ["mine a b c", "mine d e"]
    assert not any("not shown" in line for line in lines)


def test_two_names_share_the_room_as_each_needs_it() -> None:
    columns = [Column("run", folds=True), Column("architecture", folds=True)]
    lines = shown(TextTable(columns, [["a", CHAIN]]), 45)

    assert lines[1] == f"a    {CHAIN}".ljust(len(lines[1]))


@pytest.mark.parametrize("width", [1, 5, 12])
def test_an_absurd_width_breaks_nothing(width: int) -> None:
    assert shown(outcomes(CHAIN), width)


def test_a_table_without_rows_has_its_headings() -> None:
    assert shown(TextTable([Column("a"), Column("b")], []), 40) == ["a  b"]


@given(
    st.text(st.characters(codec="utf-8", exclude_characters="\n\r "), min_size=1),
    st.integers(2, 30),
)
def test_a_folded_text_is_whole_and_fits(text: str, width: int) -> None:
    lines = folded(text, width)

    assert "".join(lines) == text
    assert max(map(cell_len, lines)) <= width


def test_a_text_is_folded_between_its_parts() -> None:
    assert folded("12-34-56 78", 6) == ["12-34-", "56 78"]
    assert folded("bnnas_spos_12", 8) == ["bnnas_", "spos_12"]
