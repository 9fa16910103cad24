import pickle

from ray.tune.search import Searcher

from raynas.cluster.tune.tune_searcher import Config, ConfigSearcher, TuneSearcher


class Turns(TuneSearcher):
    """Has a config for every second trial that asks."""

    def __init__(self) -> None:
        super().__init__(metric="score")
        self.asked = 0

    def next_config(self, trial_id: str) -> Config | None:
        self.asked += 1
        return {"trial": trial_id} if self.asked % 2 else None

    @property
    def waits(self) -> bool:
        return self.asked < 4


def test_tune_hears_finished_only_when_nothing_can_follow() -> None:
    searcher = Turns()

    found = [searcher.suggest(name) for name in "abcd"]

    assert found == [{"trial": "a"}, None, {"trial": "c"}, Searcher.FINISHED]


def test_a_searcher_takes_no_space_or_metric_from_tune() -> None:
    searcher = Turns()

    assert searcher.set_search_properties("loss", "min", {"x": 1}, points_to_evaluate=None)
    assert (searcher.metric, searcher.mode) == ("score", "max")


def test_what_records_stays_out_of_the_copy_that_tune_writes() -> None:
    searcher = ConfigSearcher([{"seed": 1}])
    searcher._record = print

    copy = pickle.loads(pickle.dumps(searcher))  # noqa: S301 - our own bytes

    assert copy._record is None
    assert copy.suggest("a") == {"seed": 1}


def test_configs_are_suggested_once_each_and_are_exhausted_when_their_trials_have_ended() -> None:
    searcher = ConfigSearcher([{"seed": 3}, {"seed": 1}])

    assert [searcher.suggest(name) for name in "abc"] == [
        {"seed": 3},
        {"seed": 1},
        Searcher.FINISHED,
    ]
    assert not searcher.exhausted
    searcher.on_trial_complete("a", error=True)
    assert not searcher.exhausted
    searcher.on_trial_complete("b")
    assert searcher.exhausted
