"""True accuracies: which keys are one network, what is known of it, and files that are refused."""

import json
from collections import defaultdict
from typing import Any

import numpy as np
import pytest

from raynas.benchmark.truths.reading import parse_truths
from raynas.benchmark.truths.truth import Truth
from raynas.errors import UserError
from raynas.spaces.architecture import Architecture
from tests.builders import shipped_space
from tests.macro import record
from tests.test_paper import canonical, macro_table


def read(table: Any) -> Truth:
    return parse_truths(json.dumps(table).encode(), "truth.json")


def test_keys_with_equal_records_are_one_network() -> None:
    shared, other = record(90.0, 90.5, macs=20), record(91.0, 92.0, macs=40)
    truth = read({"01210000": shared, "01201000": other, "01020100": shared})

    assert truth.network.tolist() == [0, 1, 0]
    assert truth.accuracy.tolist() == [90.25, 91.5]
    assert truth.repeats.tolist() == [[90.0, 90.5], [91.0, 92.0]]
    assert (truth.macs is not None, truth.params is not None) == (True, True)
    assert truth.macs.tolist() == [20, 40]
    assert truth.params.tolist() == [1, 2]


def test_a_value_of_a_network_is_the_mean_over_its_keys() -> None:
    shared = record(90.0)
    truth = read({"010": shared, "020": record(91.0), "001": shared})

    assert truth.merged([1.0, 5.0, 2.0]).tolist() == [1.5, 5.0]


def test_depth_counts_the_layers_whose_choice_is_not_0() -> None:
    truth = read({"02012100": record(90.0), "00000000": record(45.0), "22222222": record(93.0)})

    assert truth.depth is not None
    assert truth.depth.tolist() == [4, 0, 8]


def test_a_key_is_digits_or_numbers_with_dashes() -> None:
    truth = read({"010": record(90.0), "2-0-11": record(91.0)})

    assert truth.architectures == (Architecture([0, 1, 0]), Architecture([2, 0, 11]))


def test_the_recorded_mean_is_taken_before_that_of_the_trainings() -> None:
    truth = read({"010": record(90.0, 92.0) | {"mean_acc": 91.25}})

    assert truth.accuracy.tolist() == [91.25]


def test_a_mean_alone_is_one_training() -> None:
    truth = read({"010": {"mean_acc": 90.0, "flops": 1, "params": 1}})

    assert truth.accuracy.tolist() == [90.0]
    assert truth.repeats.tolist() == [[90.0]]


def test_a_network_that_was_trained_less_often_has_fewer_trainings() -> None:
    truth = read({"010": record(90.0, 91.0, 92.0), "020": record(80.0, 81.0)})

    assert truth.trainings.tolist() == [3, 2]
    np.testing.assert_array_equal(truth.repeats, [[90.0, 91.0, 92.0], [80.0, 81.0, np.nan]])


def test_what_is_left_of_some_keys_are_the_networks_that_one_of_them_describes() -> None:
    shared = record(90.0, macs=20)
    table = {"100": record(80.0), "010": shared, "020": record(91.0, macs=60), "001": shared}
    truth = read(table).only(np.array([False, False, True, True]))

    assert truth.architectures == (Architecture([0, 2, 0]), Architecture([0, 0, 1]))
    assert truth.accuracy[truth.network].tolist() == [91.0, 90.0]
    assert (truth.macs is not None, truth.params is not None) == (True, True)
    assert truth.macs[truth.network].tolist() == [60, 20]
    assert truth.params[truth.network].tolist() == [3, 1]
    assert truth.repeats[truth.network].tolist() == [[91.0], [90.0]]
    assert truth.depth is not None
    assert truth.depth.tolist() == [1, 1]


@pytest.mark.slow
@pytest.mark.data
def test_networks_of_nas_bench_macro_are_those_of_equal_canonical_form() -> None:
    space, table = shipped_space("nas_bench_macro"), macro_table()
    truth = read(table)

    forms = defaultdict(set)
    for key, network in zip(table, truth.network, strict=True):
        forms[canonical(space, space.parse(key))].add(int(network))
    assert len(truth.accuracy) == len(forms) < 1500
    assert all(len(networks) == 1 for networks in forms.values())


@pytest.mark.data
def test_a_key_of_nas_bench_macro_is_the_architecture_that_a_run_on_it_records() -> None:
    space, table = shipped_space("nas_bench_macro"), macro_table()

    assert read(table).architectures == tuple(space.parse(key) for key in table)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("{", "no valid JSON"),
        ("{}", "wanted an object of architectures"),
        ('{"k3": {}}', "architecture 'k3'"),
        (
            json.dumps({"01": record(9.0), "012": record(9.5)}),
            "got the architecture 0-1-2, wanted 2 choices",
        ),
        (json.dumps({"0,-1": record(9.0)}), "got the architecture 0--1, wanted 2 choices from 0"),
        ('{"01": {"test_acc": [9.0], "flops": 1}}', "01 lacks a number"),
        ('{"01": {"test_acc": [], "flops": 1, "params": 1}}', "01 lacks a number"),
        ('{"01": {"test_acc": ["x"], "flops": 1, "params": 1}}', "01 lacks a number"),
        ('{"01": {"test_acc": [NaN], "flops": 1, "params": 1}}', "01 lacks a number"),
        ('{"01": {"test_acc": [9.0], "flops": null, "params": 1}}', "01 lacks a number"),
        ('{"01": 90.0}', "01 lacks a number"),
    ],
)
def test_a_file_of_another_form_is_refused_by_its_name(content: str, complaint: str) -> None:
    with pytest.raises(UserError, match=r"^truth file truth\.json: ") as refused:
        parse_truths(content.encode(), "truth.json")

    assert complaint in str(refused.value)
    assert "\n" not in str(refused.value)
