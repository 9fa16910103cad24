"""Describing spaces: text for people, JSON for programs, exact costs for both."""

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from tests.builders import ROOT, run_python
from tests.launch.scripts import load_script

describe = load_script("describe")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Any:
    """Return a function that runs the script and returns its code, output and errors."""

    def run_script(*flags: str) -> tuple[int, str, str]:
        code = describe.main(list(flags))
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return run_script


class TestText:
    def test_a_space_is_described_layer_by_layer_with_its_range_of_costs(self, run: Any) -> None:
        code, output, errors = run("--space", "small_mobile")
        lines = output.splitlines()

        assert (code, errors) == (0, "")
        assert lines[0] == (
            "small_mobile: 6 layers, 4,096 networks, for images of 1 x 8 x 8 and 10 classes"
        )
        assert lines[2].split() == [
            "0",
            "reduction",
            "16",
            "->",
            "24",
            "2",
            "0:k3e2",
            "1:k3e4",
            "2:k5e2",
            "3:k5e4",
        ]
        assert [line.split()[1] for line in lines[2:8]] == [
            "reduction",
            "normal",
            "normal",
            "reduction",
            "normal",
            "normal",
        ]
        assert lines[8] == "MACs: 308,160 (308.16k) to 651,648 (651.648k)"
        assert "10,000 networks" in lines[10]

    def test_identity_is_not_offered_where_a_space_has_it_already(self, run: Any) -> None:
        _, output, _ = run("--space", "nas_bench_macro")

        assert "6,561 networks" in output
        assert "with identity" not in output

    def test_architectures_are_costed_below_the_description(self, run: Any) -> None:
        _, output, _ = run("--space", "nas_bench_macro", "--architecture", "02012100")

        assert output.splitlines()[-1] == ("0-2-0-1-2-1-0-0  47,327,744 MACs  890,666 parameters")

    def test_shape_and_classes_of_a_person_s_own_images_change_the_costs(self, run: Any) -> None:
        _, output, _ = run(
            "--space", "small_mobile", "--resolution", "16", "--channels", "3", "--classes", "4"
        )

        assert "for images of 3 x 16 x 16 and 4 classes" in output
        assert "308,160" not in output

    def test_cells_are_described_with_their_published_genotypes(self, run: Any) -> None:
        code, output, errors = run("--space", "darts_cells")
        lines = output.splitlines()

        assert (code, errors) == (0, "")
        assert lines[0] == (
            "darts_cells: 20 cells, 18,473,062,740,506,010,000 networks, for images of 3 x 32 x 32 "
            "and 10 classes"
        )
        assert [line.split() for line in lines[1:4]] == [
            ["6", "x", "normal", "36", "channels", "a", "node"],
            ["1", "x", "reduction", "72", "channels", "a", "node"],
            ["6", "x", "normal", "72", "channels", "a", "node"],
        ]
        assert lines[10].split() == ["3", "normal", "states", "0", "to", "4", "595"]
        assert "a node adds up two of: skip_connect sep3 sep5 dil3 dil5 avgpool3 maxpool3" in lines
        assert "MACs: 227,272,320 (227.272M) to 817,833,600 (817.834M)" in lines
        assert (
            "DARTS_V2: 52-80-151-197-42-164-94-304  528,359,040 MACs  3,349,342 parameters" in lines
        )

    def test_the_network_for_imagenet_is_described_with_what_is_published_of_it(
        self, run: Any
    ) -> None:
        _, output, _ = run("--space", "darts_cells_imagenet")

        assert "14 cells, 18,473,062,740,506,010,000 networks, for images of 3 x 224" in output
        assert "DARTS_V2: 52-80-151-197-42-164-94-304  529,911,552 MACs  4,718,752 param" in output

    def test_a_genotype_is_costed_in_every_form_of_it(self, run: Any) -> None:
        published = (
            "Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), "
            "('sep_conv_3x3', 1), ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 0), "
            "('dil_conv_5x5', 4)], normal_concat=range(2, 6), reduce=[('avg_pool_3x3', 0), "
            "('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2), ('max_pool_3x3', 0), "
            "('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)], "
            "reduce_concat=range(2, 6))"
        )
        _, output, _ = run(
            "--space",
            "darts_cells",
            "--architecture",
            published,
            "--architecture",
            "64-109-255-155-11-85-82-258",
            "--json",
        )
        first, second = map(json.loads, output.splitlines())

        assert first == second
        assert (first["macs"], first["params"]) == (532_174_464, 3_433_798)
        assert first["genotype"].startswith("normal: skip_connect(0) dil3(1) | skip_connect(0)")

    def test_what_is_no_genotype_is_refused_in_a_sentence(self, run: Any) -> None:
        code, _, errors = run("--space", "darts_cells", "--architecture", "normal: sep3(0)")

        assert code == 2
        assert len(errors.splitlines()) == 1


class TestJson:
    def test_a_space_is_one_object(self, run: Any) -> None:
        _, output, _ = run("--space", "small_mobile", "--json")
        (line,) = output.splitlines()
        space = json.loads(line)

        assert (space["space"], space["size"], space["classes"]) == ("small_mobile", 4096, 10)
        assert space["input"] == [1, 8, 8]
        assert len(space["layers"]) == 6
        assert space["layers"][3] == {
            "kind": "reduction",
            "in_channels": 24,
            "out_channels": 48,
            "stride": 2,
            "candidates": ["k3e2", "k3e4", "k5e2", "k5e4"],
        }
        assert space["min_macs"] == 308_160
        assert space["with_identity"]["size"] == 10_000
        assert space["with_identity"]["min_macs"] < space["min_macs"]
        assert space["with_identity"]["max_macs"] == space["max_macs"]

    def test_architectures_are_one_object_a_line_and_nothing_else(
        self, run: Any, tmp_path: Path
    ) -> None:
        path = tmp_path / "some.txt"
        path.write_text("1-1-1-1-1-1\n\n2 2 2 2 2 2\n0,-1,-1,0,-1,-1\n")
        _, output, _ = run(
            "--space",
            "small_mobile",
            "--architecture",
            "0-0-0-0-0-0",
            "--architecture",
            "333333",
            "--architectures",
            str(path),
            "--json",
        )
        rows = [json.loads(line) for line in output.splitlines()]

        assert [row["architecture"] for row in rows] == [
            "0-0-0-0-0-0",
            "3-3-3-3-3-3",
            "1-1-1-1-1-1",
            "2-2-2-2-2-2",
            "0-4-4-0-4-4",
        ]
        assert all(row.keys() == {"architecture", "macs", "params"} for row in rows)


def small_mobile_cost(architecture: str) -> tuple[int, int]:
    """Return MACs and parameters of a small_mobile network, added up by hand."""
    kernels, expansions = (3, 3, 5, 5), (2, 4, 2, 4)
    widths, sides, strides = (16, 24, 24, 24, 48, 48, 48), (8, 4, 4, 4, 2, 2), (2, 1, 1, 2, 1, 1)
    macs = 64 * 9 * 16 + 4 * 48 * 256 + 256 * 10  # stem; head: 2 x 2 pixels, then the classifier
    params = 9 * 16 + 2 * 16 + 48 * 256 + 2 * 256 + 256 * 10 + 10
    for layer, choice in enumerate(map(int, architecture.split("-"))):
        if choice == 4:  # identity
            continue
        wide, out = widths[layer] * expansions[choice], widths[layer + 1]
        before, after = sides[layer] ** 2, (sides[layer] // strides[layer]) ** 2
        taps = kernels[choice] ** 2
        macs += before * widths[layer] * wide + after * (taps * wide + wide * out)
        params += widths[layer] * wide + taps * wide + wide * out + 2 * (2 * wide + out)
    return macs, params


class TestCosts:
    @pytest.mark.parametrize(
        "architecture", ["0-0-0-0-0-0", "3-3-3-3-3-3", "1-4-2-3-4-0", "2-4-4-2-4-4"]
    )
    def test_costs_are_those_that_one_adds_up_by_hand(self, run: Any, architecture: str) -> None:
        _, output, _ = run("--architecture", architecture, "--json")
        row = json.loads(output)

        assert (row["macs"], row["params"]) == small_mobile_cost(architecture)

    @pytest.mark.parametrize(
        ("space", "architecture", "macs", "params"),
        [
            # NAS-Bench-Macro's own table
            ("nas_bench_macro", "00000000", 7_713_280, 387_882),
            ("nas_bench_macro", "02012100", 47_327_744, 890_666),
            # SPOS's published network: 323M
            ("shufflenet_v2", "2-1-0-1-2-0-2-0-2-0-2-3-0-0-0-0-3-2-3-3", 322_918_720, 3_558_464),
            # BN-NAS's published network: 473.5M, with 1.7M additions
            (
                "mobilenet_v2_bnnas",
                "3 -1 0 4 0 -1 -1 0 4 -1 4 4 1 4 2 0 0 4 0 2 2",
                471_822_240,
                5_228_536,
            ),
        ],
    )
    def test_costs_of_published_networks_are_the_published_ones(
        self, run: Any, space: str, architecture: str, macs: int, params: int
    ) -> None:
        _, output, _ = run("--space", space, "--architecture", architecture, "--json")
        row = json.loads(output)

        assert (row["macs"], row["params"]) == (macs, params)


class TestRefusals:
    @pytest.mark.parametrize(
        ("flags", "words"),
        [
            ("--space smal_mobile", "did you mean small_mobile?"),
            ("--architecture 0-0-0", "got 3 layers, but small_mobile has 6"),
            ("--architecture 0-0-0-0-0-9", "layer 5: got candidate 9"),
            ("--architecture 4-0-0-0-0-0", "layer 0: got candidate 4"),
            ("--architecture zero", "architecture 'zero'"),
            ("--architectures {tmp}/missing.txt", "{tmp}/missing.txt"),
            ("--architectures {tmp}/bad.txt", "got candidate 7"),
            ("--resolution -8", "--resolution"),
            ("--channels 0", "--channels"),
            ("--classes 0", "--classes"),
        ],
    )
    def test_a_mistake_is_told_in_one_sentence(
        self, run: Any, tmp_path: Path, flags: str, words: str
    ) -> None:
        (tmp_path / "bad.txt").write_text("0-0-0-0-0-0\n0-0-0-0-0-7\n")
        code, output, errors = run(*flags.format(tmp=tmp_path).split())

        assert (code, output) == (2, "")
        assert errors.startswith("error: ")
        assert errors.count("\n") == 1
        assert words.format(tmp=tmp_path) in errors


def test_the_script_runs_from_another_folder(tmp_path: Path) -> None:
    script = ROOT / "launch" / "describe.py"
    program = inspect.cleandoc(
        f"""
        import contextlib, runpy, sys
        sys.argv = [{str(script)!r}, "--space", "small_mobile"]
        try:
            with contextlib.chdir({str(tmp_path)!r}):
                runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as left:
            print("exit code", left.code)
        """
    )
    first, *_, last = run_python(program).splitlines()

    assert first.startswith("small_mobile: 6 layers, 4,096 networks")
    assert last == "exit code 0"
