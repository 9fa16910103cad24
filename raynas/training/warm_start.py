"""Taking over what an earlier run on the same space and images has found, part by part.

Each part is the same to the bit only where the settings that decide it agree; what does not
agree is made anew, and the reason is said.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any

from raynas.costs import CostTable
from raynas.errors import UserError
from raynas.locations import inside
from raynas.settings import Settings, decides_supernet, differences
from raynas.space import Architecture
from raynas.store import RunStore
from raynas.training.reuse import is_pretrained
from raynas.training.same_facts import other_facts

LATENCIES = "latency.parquet"
"""The copy of a run's table of latencies in its folder."""
_SCORING = {"search.score", "search.recalibration-batches", "search.score-images"}
_SEARCHING = {"search.strategy", "retrain.cpus-per-trial", "retrain.workers-per-trial"}
_WHICH_SEARCHES = {"differentiable.seeds", "differentiable.scheduler"}  # and how far
_CHOOSING = {"retrain.top-k", "retrain.scheduler", "retrain.asha-grace-epochs",
             "retrain.asha-reduction"}  # which networks are trained, and how far  # fmt: skip


def _is_images(name: str) -> bool:
    return decides_supernet(name) and not name.startswith("pretrain.")


def _decides_score(name: str) -> bool:
    return decides_supernet(name) or name in _SCORING


def _decides_training(name: str) -> bool:
    return _is_images(name) or (name.startswith("retrain.") and name not in _CHOOSING)


def _decides_searches(name: str) -> bool:
    own = name.startswith("differentiable.") and name not in _WHICH_SEARCHES
    return _is_images(name) or own or name in _SEARCHING


def _decides_check(name: str) -> bool:
    return name != "retrain.epochs" and (_decides_training(name) or name == "check-epochs")


def latency_table_of(folder: str) -> str | None:
    """Return where an earlier run's table of latencies lies, or None."""
    return inside(folder, LATENCIES) if RunStore(folder).has(LATENCIES) else None


class Earlier:
    """A run that has been made before, and what of it a new one may take over."""

    def __init__(
        self, source: RunStore, settings: Settings, costs: CostTable, facts: Mapping[str, Any]
    ) -> None:
        """Look at the earlier run.

        Args:
            source: Its run folder.
            settings: Of the new run.
            costs: Of the space and the images of the new run.
            facts: What was read from its images.

        Raises:
            UserError: There is no run, or it had another space or other images.
        """
        self.source = source
        self._settings = settings
        rows = source.rows("runs")
        if not rows:
            raise UserError(
                f"--from {source.uri}: wanted the folder of an earlier run, found none; check the "
                "path, or leave the flag out"
            )
        self._recorded = rows[0]["settings"]
        self._refuse_other_images(json.loads(rows[0]["plan"] or "{}"), facts)
        self._refuse_other_costs(costs)

    def _refuse_other_images(self, recorded: dict[str, Any], facts: Mapping[str, Any]) -> None:
        differing = self._differing(lambda name: name in {"space", "data", "seed"})
        differing += [
            f"{name}: recorded {before!r}, now {now!r}"
            for name, before, now in other_facts(recorded, facts)
        ]
        if differing:
            raise UserError(
                f"--from {self.source.uri}: its space, images or seed were others "
                f"({'; '.join(differing)}); leave the flag out, or give the recorded ones"
            )

    def _refuse_other_costs(self, costs: CostTable) -> None:
        table = self.source.table("outcomes", ["architecture", "macs", "params"])
        for row in table.to_pylist():
            try:
                cost = costs.of(Architecture.parse(row["architecture"]))
                same = (cost.macs, cost.params) == (row["macs"], row["params"])
            except (IndexError, ValueError):  # more layers or candidates than there are now
                same = False
            if not same:
                raise UserError(
                    f"--from {self.source.uri}: the space has changed since ({row['architecture']}"
                    " cost something else); leave the flag out, or bring the old space back"
                )

    def _differing(self, among: Callable[[str], bool]) -> list[str]:
        return differences(self._recorded, self._settings, among)

    @property
    def pretraining(self) -> RunStore | None:
        """The run folder whose finished pretraining is the new run's as well, or None."""
        fits = self._settings.pretrain.epochs > 0 and not self._differing(decides_supernet)
        return self.source if fits and is_pretrained(self.source) else None

    @property
    def training(self) -> RunStore | None:
        """The run folder whose trained networks are what the new run would train, or None."""
        return None if self._differing(_decides_training) else self.source

    @property
    def searches(self) -> RunStore | None:
        """The run folder whose differentiable searches are the new run's as well, or None."""
        fits = self._settings.search.by_gates and not self._differing(_decides_searches)
        return self.source if fits else None

    def scores(self) -> dict[str, float]:
        """Return scores that trials computed, by architecture; none where sums are cheap."""
        if not self._settings.search.by_trials or self._differing(_decides_score):
            return {}
        table = self.source.table("architectures", ["architecture", "score"])
        return dict(zip(*(column.to_pylist() for column in table.columns), strict=True))

    def checks(self) -> dict[str, dict[str, Any]]:
        """Return finished rows of the self-check by architecture."""
        if not self._settings.check or self._differing(_decides_check):
            return {}
        rows = self.source.rows("checks")
        return {row["architecture"]: row for row in rows if row["status"] == "finished"}

    def lines(self) -> list[str]:
        """Return what is taken over, and what is not and why."""
        settings, num_trained = self._settings, len(self.source.parts("trials"))
        num_searched = len(self.source.parts("search_epochs")) if self.searches else 0
        trainings = num_trained if self.training else 0
        parts = (  # name, how many, what decides it, whether it is wanted
            ("pretraining", int(self.pretraining is not None), decides_supernet,
             settings.pretrain.epochs > 0),
            ("searches", num_searched, _decides_searches,
             settings.search.by_gates),
            ("scores", len(self.scores()), _decides_score, settings.search.by_trials),
            ("checks", len(self.checks()), _decides_check, settings.check > 0),
            ("trainings, where the same networks are chosen", trainings, _decides_training, True),
        )  # fmt: skip
        latencies = self._settings.latency_table == latency_table_of(self.source.address)
        with_table = latencies and self._settings.latency_table is not None
        taken = [name if name == "pretraining" else f"{n:,} {name}" for name, n, *_ in parts if n]
        taken += ["table of latencies"] if with_table else []
        lines = [f"from      {self.source.uri}: {'; '.join(taken) or 'nothing'}"]
        for name, count, among, wanted in parts:
            if wanted and not count:
                reason = "; ".join(self._differing(among)) or "it has none that ended"
                lines.append(f"anew      {name.split(',')[0]} ({reason})")
        return lines
