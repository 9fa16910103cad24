"""Taking over what an earlier run on the same space and images has found, part by part.

Each part is the same to the bit only where the settings that decide it agree; what does not
agree is made anew, and the reason is said.
"""

from typing import Any

from raynas.costs.costs import CostTable
from raynas.errors import UserError
from raynas.recording.matching_facts import changed_roles, other_facts
from raynas.recording.outcomes import known_scores
from raynas.recording.reuse import is_pretrained
from raynas.settings.settings import Settings, differences
from raynas.settings.stage_inputs import Part, decides, differing_plans
from raynas.spaces.architecture import Architecture
from raynas.storage.plan_facts import PlanFacts
from raynas.storage.run_store import RunStore
from raynas.storage.uris import inside

LATENCIES = "latency.parquet"
"""The copy of a run's table of latencies in its folder."""
SCORE = "score"
"""The part of the table ``indicators`` that has a run's score, before it learned."""
_WORDS = {"trainings": "trainings, where the same networks are chosen"}
_WHOLE: dict[Part, str] = {"pretraining": "pretraining", "features": "errors of features"}


def latency_table_of(folder: str) -> str | None:
    """Return where an earlier run's table of latencies lies, or None."""
    return inside(folder, LATENCIES) if RunStore(folder).has(LATENCIES) else None


class Earlier:
    """A run that has been made before, and what of it a new one may take over."""

    def __init__(
        self, source: RunStore, settings: Settings, costs: CostTable, facts: PlanFacts
    ) -> None:
        """Look at the earlier run.

        Args:
            source: Its run folder.
            settings: Of the new run.
            costs: Of the space and the images of the new run.
            facts: What its plan has made of its images and settings.

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
        self._plans = PlanFacts.from_json(rows[0]["plan"]), facts
        self._refuse_other_images()
        self._refuse_other_costs(costs)

    def _refuse_other_images(self) -> None:
        if changed := changed_roles(*self._plans):
            raise UserError(f"--from {self.source.uri}: {changed}; leave the flag out")
        differing = differences(
            self._recorded, self._settings, lambda name: name in {"space", "data", "seed"}
        )
        differing += [
            f"{name}: recorded {before!r}, now {now!r}"
            for name, before, now in other_facts(*self._plans)
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

    def _differing(self, part: Part) -> list[str]:
        """Return a line for all by which a part would come out otherwise."""
        own = differences(self._recorded, self._settings, lambda name: decides(part, name))
        return own + differing_plans(part, *self._plans)

    @property
    def pretraining(self) -> RunStore | None:
        """The run folder whose finished pretraining is the new run's as well, or None."""
        fits = self._settings.pretrain.epochs > 0 and not self._differing("pretraining")
        return self.source if fits and is_pretrained(self.source) else None

    @property
    def training(self) -> RunStore | None:
        """The run folder whose trained networks are what the new run would train, or None."""
        return None if self._differing("trainings") else self.source

    def has_rival(self, name: str, network: str) -> bool:
        """Return whether that run's rival of a name is the same network; limits may decide which.

        Args:
            name: Of the rival.
            network: Its text, as runs record it.
        """
        return self._plans[0].rivals.get(name) == network

    @property
    def searches(self) -> RunStore | None:
        """The run folder whose differentiable searches are the new run's as well, or None."""
        fits = self._settings.search.traits.is_differentiable and not self._differing("searches")
        return self.source if fits else None

    @property
    def features(self) -> RunStore | None:
        """The run folder whose score of the start's features is the new run's, too, or None."""
        fits = self._settings.search.reads_start and not self._differing("features")
        return self.source if fits and SCORE in self.source.parts("indicators") else None

    def scores(self) -> dict[str, float]:
        """Return scores that trials computed, by architecture; none where sums are cheap."""
        if not self._settings.search.scores_by_trials or self._differing("scores"):
            return {}
        return known_scores(self.source)

    def checks(self) -> dict[str, dict[str, Any]]:
        """Return finished rows of the short trainings by architecture."""
        if not self._settings.num_trainings or self._differing("checks"):
            return {}
        rows = self.source.rows("checks")
        return {row["architecture"]: row for row in rows if row["status"] == "finished"}

    def lines(self) -> list[str]:
        """Return what is taken over, and what is not and why."""
        settings, num_trained = self._settings, len(self.source.parts("trials"))
        num_searched = len(self.source.parts("search_epochs")) if self.searches else 0
        trainings = num_trained if self.training else 0
        parts: tuple[tuple[Part, int, bool], ...] = (  # what, how many, whether it is wanted
            ("pretraining", int(self.pretraining is not None), settings.pretrain.epochs > 0),
            ("searches", num_searched, settings.search.traits.is_differentiable),
            ("features", int(self.features is not None), settings.search.reads_start),
            ("scores", len(self.scores()), settings.search.scores_by_trials),
            ("checks", len(self.checks()), settings.num_trainings > 0),
            ("trainings", trainings, True),
        )
        latencies = self._settings.latency_table == latency_table_of(self.source.address)
        with_table = latencies and self._settings.latency_table is not None
        taken = [_WHOLE.get(part) or f"{n:,} {_WORDS.get(part, part)}" for part, n, _ in parts if n]
        taken += ["table of latencies"] if with_table else []
        lines = [f"from      {self.source.uri}: {'; '.join(taken) or 'nothing'}"]
        for part, count, wanted in parts:
            if wanted and not count:
                reason = "; ".join(self._differing(part)) or "it has none that ended"
                lines.append(f"anew      {_WHOLE.get(part, part)} ({reason})")
        return lines
