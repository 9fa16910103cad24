"""What stages use: written and read as JSON, added up, and read from older records."""

from hypothesis import given
from hypothesis import strategies as st

from raynas.storage.usage import StageUsage, Usage

AMOUNTS = st.floats(0, 1e9)
MEASURED = st.builds(StageUsage, seconds=AMOUNTS, gpu_hours=AMOUNTS, written_bytes=AMOUNTS)
FORECAST = st.builds(StageUsage, seconds=AMOUNTS, low_seconds=AMOUNTS, high_seconds=AMOUNTS)
USAGES = st.builds(
    Usage,
    st.dictionaries(st.sampled_from(["pretrain", "search", "retrain"]), MEASURED | FORECAST),
    st.none() | AMOUNTS,
)


@given(USAGES)
def test_json_keeps_everything(usage: Usage) -> None:
    assert Usage.from_json(usage.to_json()) == usage


def test_nothing_recorded_is_nothing_used() -> None:
    assert Usage.from_json(None) == Usage.from_json("") == Usage()


def test_what_is_recorded_is_an_object_by_stage() -> None:
    usage = Usage({"search": StageUsage(seconds=2.0)}, 8)

    assert usage.to_json() == (
        '{"search": {"seconds": 2.0, "gpu_hours": 0.0, "written_bytes": 0.0}, "disk_bytes": 8}'
    )


def test_an_unknown_amount_of_another_version_is_left_out() -> None:
    read = Usage.from_json('{"check": {"seconds": 3, "watts": 7}}')

    assert read == Usage({"check": StageUsage(seconds=3)})


@given(MEASURED, MEASURED)
def test_a_stage_that_was_begun_twice_has_used_both(first: StageUsage, second: StageUsage) -> None:
    both = Usage().with_stage("check", first).with_stage("check", second).stages["check"]

    assert both.seconds == first.seconds + second.seconds
    assert both.gpu_hours == first.gpu_hours + second.gpu_hours
    assert both.written_bytes == first.written_bytes + second.written_bytes


@given(MEASURED)
def test_what_was_measured_has_no_range(stage: StageUsage) -> None:
    assert stage.range_seconds == (stage.seconds, stage.seconds)
