import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from raynas.settings.images import ImageSettings
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings


@given(
    st.integers(0, 2**31),
    st.sampled_from(["qr", "shift", "gaussian"]),
    st.none() | st.integers(1, 10**9),
    st.floats(0.001, 1.0),
)
def test_settings_come_back_as_they_were_recorded(
    seed: int, kind: str, limit: int | None, share: float
) -> None:
    settings = Settings(
        seed=seed,
        max_macs=limit,
        images=ImageSettings(share=share),
        pretrain=PretrainSettings(initialisation=kind),  # type: ignore[arg-type]
    )

    assert Settings.from_json(settings.to_json()) == settings


def test_what_an_older_run_did_not_record_has_its_default_and_what_is_gone_is_left_out() -> None:
    tree = json.loads(Settings(search=SearchSettings(generations=7)).to_json())
    del tree["search"]["path_bonus"], tree["trainings"], tree["differentiable"]
    tree["gone"] = tree["images"]["gone"] = 1

    settings = Settings.from_json(json.dumps(tree))

    assert settings == Settings(search=SearchSettings(generations=7))


def test_nothing_recorded_is_the_defaults() -> None:
    assert Settings.from_json(None) == Settings.from_json("{}") == Settings()


def test_what_is_refused_today_is_read_as_it_was() -> None:
    tree = json.loads(Settings().to_json())
    tree["pretrain"]["initialisation"] = "delta"

    settings = Settings.from_json(json.dumps(tree))

    assert settings.pretrain == replace(Settings().pretrain, initialisation="delta")
