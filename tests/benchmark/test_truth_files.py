"""Files of true accuracies: Accel-NASBench's, plain ones, and what is refused."""

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from raynas.benchmark.ranking import tau
from raynas.benchmark.truths.accel_nasbench import count_macs
from raynas.benchmark.truths.reading import parse_truths, read_truths
from raynas.benchmark.truths.truth import Truth
from raynas.errors import UserError
from raynas.nets.cell_operations import DARTS_OPERATIONS
from raynas.nets.cost import cost_table
from raynas.nets.operations import Identity
from raynas.spaces.architecture import Architecture
from raynas.spaces.published import DARTS_NAMES, DARTS_V2
from tests.builders import ROOT, SHARED_DATA, shipped_cells, shipped_space

STAGES = [[6, 3, 1], [1, 5, 2], [4, 3, 3], [1, 3, 1], [6, 5, 2], [4, 5, 4], [1, 5, 1]]
NETWORK = {"stages": STAGES, "se": [False] * 7, "val_top1": [58.5], "params_m": 2.565472}


def accel(*rows: Any) -> Truth:
    return parse_truths(json.dumps(rows).encode(), "accel.json")


def accel_truth() -> Truth:
    file = SHARED_DATA / "accel_nasbench" / "development.json"
    if not file.is_file():
        pytest.skip("no ../shared/data/accel_nasbench: the data is not beside this checkout")
    return read_truths(str(file))


def parquet(columns: Mapping[str, Sequence[Any]]) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(dict(columns)), sink)
    return sink.getvalue()


def plain(**columns: Sequence[Any]) -> Truth:
    return parse_truths(parquet(columns), "own.parquet")


class TestAccelNasBench:
    def test_a_stage_repeats_its_block_and_is_skipped_where_it_ends_early(self) -> None:
        truth = accel(NETWORK)

        assert list(map(str, truth.architectures)) == [
            "2-6-6-3-3-6-1-1-1-0-6-6-5-5-6-4-4-4-4-3-6-6"
        ]
        assert truth.depth is not None
        assert truth.depth.tolist() == [14]
        assert truth.accuracy.tolist() == [58.5]

    def test_rows_with_squeeze_excitation_are_left_out_and_counted(self) -> None:
        truth = accel(NETWORK | {"se": [True] + [False] * 6}, NETWORK)

        assert len(truth.accuracy) == 1
        assert truth.notes[0] == "left out: 1 rows with squeeze-excitation"

    def test_rows_of_one_network_are_its_trainings(self) -> None:
        truth = accel(NETWORK, NETWORK | {"val_top1": [60.5, 61.5]})

        assert truth.repeats.tolist() == [[58.5, 60.5, 61.5]]

    @pytest.mark.parametrize(
        ("rows", "complaint"),
        [
            ([], "got no network without squeeze-excitation in 0 rows"),
            ([NETWORK | {"se": [True] * 7}], "got no network without squeeze-excitation in 1 rows"),
            ([NETWORK, 1], "row 1 is no network of the space mnasnet"),
            ([NETWORK | {"stages": STAGES[:6]}], "row 0 is no network"),
            ([NETWORK | {"stages": [[6, 3, 4], *STAGES[1:]]}], "row 0 is no network"),
            ([NETWORK | {"stages": [[3, 3, 1], *STAGES[1:]]}], "row 0 is no network"),
            ([NETWORK | {"val_top1": []}], "row 0 is no network"),
            ([NETWORK | {"val_top1": [None]}], "row 0 is no network"),
            ([{"stages": STAGES}], "row 0 is no network"),
        ],
    )
    def test_another_form_is_refused(self, rows: list[Any], complaint: str) -> None:
        with pytest.raises(UserError, match=r"^truth file accel\.json: ") as refused:
            accel(*rows)

        assert complaint in str(refused.value)
        assert "\n" not in str(refused.value)

    @pytest.mark.slow
    @pytest.mark.data
    def test_its_networks_cost_what_those_of_the_space_do(self) -> None:
        truth, space = accel_truth(), shipped_space("mnasnet")
        costs = cost_table(space, 224, 3, 1000)

        assert len(truth.accuracy) == len(truth.architectures) == 709
        found = [costs.of(space.check(each)) for each in truth.architectures]
        assert truth.params is not None
        assert truth.macs is not None
        np.testing.assert_array_equal(truth.params, [cost.params for cost in found])
        np.testing.assert_array_equal(truth.macs, [cost.macs for cost in found])
        assert truth.skips == tuple(block.identity for block in space.blocks)

    def test_multiply_adds_grow_with_the_images(self) -> None:
        stages = [(e, k, n) for e, k, n in STAGES]

        assert count_macs(stages, 64) < count_macs(stages, 128) / 3


class TestPlain:
    def test_rows_of_an_architecture_are_its_trainings(self) -> None:
        truth = plain(architecture=["0-1", "2-0", "0-1"], accuracy=[90.0, 91.0, 92.0])

        assert truth.architectures == (Architecture([0, 1]), Architecture([2, 0]))
        assert truth.accuracy.tolist() == [91.0, 91.0]
        assert truth.trainings.tolist() == [2, 1]
        assert (truth.skips, truth.macs, truth.params) == (None, None, None)

    def test_shares_and_percentages_are_told_apart_by_the_whole_file(self) -> None:
        keys = ["0-1", "1-0"]

        assert plain(architecture=keys, accuracy=[0.25, 1.0]).accuracy.tolist() == [25.0, 100.0]
        assert plain(architecture=keys, accuracy=[1.5, 100.0]).accuracy.tolist() == [1.5, 100.0]

    def test_only_the_longest_trainings_are_the_truth(self) -> None:
        truth = plain(
            architecture=["0-1", "0-1", "1-1"], accuracy=[0.5, 0.25, 0.125], epochs=[20, 3, 20]
        )

        assert truth.accuracy.tolist() == [50.0, 12.5]
        assert truth.notes == ("trainings of 20 epochs; left out: 1 rows of shorter ones",)

    def test_costs_are_taken_where_every_network_has_them(self) -> None:
        keys = ["0-1", "1-0", "0-1"]
        truth = plain(
            architecture=keys, accuracy=[0.5, 0.6, 0.7], macs=[10, 20, 10], params=[1, None, 1]
        )

        assert truth.macs is not None
        assert truth.macs.tolist() == [10, 20]
        assert truth.params is None

    def test_a_csv_file_says_the_same(self) -> None:
        text = "architecture,accuracy,seed\n02012100,91.5,0\n0-2-0-1-2-1-0-1,92,0\n"
        truth = parse_truths(text.encode(), "own.csv")

        assert list(map(str, truth.architectures)) == ["0-2-0-1-2-1-0-0", "0-2-0-1-2-1-0-1"]
        assert truth.accuracy.tolist() == [91.5, 92.0]

    def test_a_genotype_stands_for_its_architecture(self) -> None:
        space = shipped_cells("darts_cells")
        truth = plain(architecture=[str(DARTS_V2)], accuracy=[97.0])

        assert truth.architectures == (space.parse("DARTS_V2"),)
        assert truth.notes == ("1 rows are genotypes, read as those of DARTS' operations",)
        names = {operation.name for operation in DARTS_OPERATIONS} - {"none"}
        assert set(DARTS_NAMES) == names

    @pytest.mark.parametrize(
        ("columns", "complaint"),
        [
            ({"accuracy": [1.0]}, "got no column architecture (but accuracy)"),
            ({"architecture": ["0-1"]}, "got no column accuracy (but architecture)"),
            ({"architecture": [], "accuracy": []}, "got no rows"),
            ({"architecture": ["0-1"] * 2, "accuracy": [0.9, 91.0]}, "some at most 1 and some"),
            ({"architecture": ["0-1"], "accuracy": [float("nan")]}, "got the accuracy nan"),
            ({"architecture": ["0-1"], "accuracy": [None]}, "accuracy"),
            ({"architecture": ["0-1"], "accuracy": [-0.1]}, "got the accuracy -0.1"),
            ({"architecture": ["0-1"], "accuracy": [100.5]}, "got the accuracy 100.5"),
            ({"architecture": ["0-1"], "accuracy": ["good"]}, "got a column accuracy of string"),
            ({"architecture": ["k3"], "accuracy": [0.9]}, "row 0: architecture 'k3'"),
            ({"architecture": [None], "accuracy": [0.9]}, "got the architecture None in row 0"),
            ({"architecture": [21], "accuracy": [0.9]}, "got the architecture 21 in row 0"),
            ({"architecture": ["0-1", "0-1-2"], "accuracy": [0.9, 0.8]}, "wanted 2 choices from 0"),
            ({"architecture": ["normal: x"], "accuracy": [0.9]}, "row 0: genotype 'normal: x'"),
            ({"architecture": ["0-1"], "accuracy": [0.9], "macs": [0]}, "wanted positive numbers"),
        ],
    )
    def test_another_form_is_refused(
        self, columns: Mapping[str, Sequence[Any]], complaint: str
    ) -> None:
        with pytest.raises(UserError, match=r"^truth file own\.parquet: ") as refused:
            plain(**columns)

        assert complaint in str(refused.value)
        assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "it is empty"),
        (b" \n", "it is empty"),
        (b"PAR1 and no more", "cannot be read"),
        (parquet({"architecture": ["0-1"], "accuracy": [0.9]})[:-9], "cannot be read"),
        (b"\x89PNG\r\n\x1a\n\x00\xff", "cannot be read"),
        (b"architecture,accuracy\n0-1\n0-1,2,3\n", "cannot be read"),
        (b"name;value\n1;2\n", "got no column architecture"),
        (b'{"0-1": ', "no valid JSON"),
    ],
)
def test_what_is_in_no_format_is_refused_in_one_sentence(content: bytes, complaint: str) -> None:
    with pytest.raises(UserError, match=r"^truth file it: ") as refused:
        parse_truths(content, "it")

    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_or_a_folder_is_refused_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    for name in ("none.csv", "folder.csv"):
        with pytest.raises(UserError, match=rf"{name}: cannot be read; check the path"):
            read_truths(str(tmp_path / name))


def test_the_shipped_truth_has_64_networks_of_two_long_trainings_and_exact_costs() -> None:
    truth = read_truths(str(ROOT / "tests" / "truths" / "small_mobile_cifar10.parquet"))
    space = shipped_space("small_mobile").with_identity(Identity())
    table = cost_table(space, 32, 3, 10)
    costs = [table.of(space.check(architecture)) for architecture in truth.architectures]

    assert truth.trainings.tolist() == [2] * 64
    assert truth.notes == ("trainings of 20 epochs; left out: 192 rows of shorter ones",)
    assert truth.macs is not None
    assert truth.params is not None
    assert truth.macs.tolist() == [cost.macs for cost in costs]
    assert truth.params.tolist() == [cost.params for cost in costs]
    assert tau(truth.macs, truth.accuracy) == pytest.approx(0.313, abs=0.0005)
