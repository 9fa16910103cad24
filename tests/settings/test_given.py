"""Architectures that a person names: what becomes of the settings, and which are refused."""

import pytest

from raynas.errors import UserError
from raynas.settings.compatibility import refuse_unfit
from raynas.settings.given import given, named_architectures
from raynas.settings.pretrain import PretrainSettings
from raynas.settings.search import SearchSettings
from raynas.settings.settings import Settings
from tests.builders import shipped, shipped_space

NAMED = Settings(architecture=("000000", "1-2-3-0-1-4"), trainings=3)


def test_named_architectures_leave_nothing_to_pretrain_to_check_and_to_search() -> None:
    settings = given(NAMED)

    assert settings.pretrain.epochs == 0
    assert settings.trainings == 0
    assert not settings.search.traits.maximises_score
    assert settings.num_winners == 2
    refuse_unfit(shipped("small_mobile"), settings)


def test_named_architectures_need_no_supernet_whatever_the_score() -> None:
    asked = Settings(architecture=NAMED.architecture, pretrain=PretrainSettings(epochs=0.0))

    assert given(asked) == given(Settings(architecture=NAMED.architecture))


def test_settings_without_a_name_stay_as_they_are() -> None:
    assert given(Settings()) == Settings()


def test_they_survive_being_recorded() -> None:
    settings = given(NAMED)

    assert Settings.from_json(settings.to_json()) == settings
    assert settings.digest != given(Settings(architecture=("000000",))).digest


def test_a_search_beside_named_architectures_is_refused_with_what_names_them() -> None:
    with pytest.raises(UserError, match=r"--architecture with --search evolution: .*api\.given"):
        refuse_unfit(shipped("small_mobile"), NAMED)
    with pytest.raises(UserError, match="--search given: no architecture is named"):
        refuse_unfit(shipped("small_mobile"), Settings(search=SearchSettings(strategy="given")))


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (("x",), "--architecture: architecture 'x': wanted a candidate index"),
        (("00000",), "--architecture: architecture 0: got 1 layers"),
        (("000000", "0-0-0-0-0-0"), "it is the same network as '000000'"),
    ],
)
def test_what_is_no_network_of_the_space_or_one_twice_is_refused(
    texts: tuple[str, ...], said: str
) -> None:
    with pytest.raises(UserError, match=said):
        named_architectures(shipped_space("small_mobile"), Settings(architecture=texts))
