"""What Ray Tune asks of every searcher, answered in one place."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from ray.tune.search import Searcher

Config = dict[str, Any]
"""What a trial is given."""


class TuneSearcher(Searcher, ABC):
    """A Tune searcher whose subclass only says what comes next.

    Searchers hold plain data. Tune copies them to disk while it works; what writes tables
    (``_record``) is left out of such a copy, and no searcher is ever restored from one.
    """

    def __init__(self, metric: str = "val_accuracy") -> None:
        """Name what trials report; more is better."""
        super().__init__(metric=metric, mode="max")
        self._record: Callable[[Any], None] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Return the state without what records, whose progress bars cannot be copied."""
        return {**self.__dict__, "_record": None}

    def set_search_properties(
        self, metric: str | None, mode: str | None, config: Config, **spec: Any
    ) -> bool:
        """Accept: what to search lies in the searcher, not in Tune's config."""
        del metric, mode, config, spec
        return True

    def suggest(  # type: ignore[override]  # Ray documents the string FINISHED, but no type
        self, trial_id: str
    ) -> Config | str | None:
        """Return a trial's config, None while other trials have to end first, or FINISHED."""
        config = self.next_config(trial_id)
        if config is not None or self.waits:
            return config
        finished: str = Searcher.FINISHED
        return finished

    @abstractmethod
    def next_config(self, trial_id: str) -> Config | None:
        """Return the config of a trial that may begin now, or None."""

    @property
    def waits(self) -> bool:
        """Whether configs may follow once trials that run have ended."""
        return False

    def on_trial_complete(
        self, trial_id: str, result: Config | None = None, error: bool = False
    ) -> None:
        """Take in how a trial ended; what it wrote is in the tables."""


class ConfigSearcher(TuneSearcher):
    """Suggests given configs in their order, each once."""

    def __init__(self, configs: list[Config]) -> None:
        """Keep the configs."""
        super().__init__()
        self._left = list(configs)
        self._running: set[str] = set()

    @property
    def exhausted(self) -> bool:
        """Whether no config is left, nor a trial running."""
        return not self._left and not self._running

    def next_config(self, trial_id: str) -> Config | None:
        """Return the next config, or None after the last one."""
        if not self._left:
            return None
        self._running.add(trial_id)
        return self._left.pop(0)

    def on_trial_complete(
        self, trial_id: str, result: Config | None = None, error: bool = False
    ) -> None:
        """Note that a trial has ended, well or not."""
        del result, error
        self._running.discard(trial_id)
