"""What a whole run may take: a time, or GPU-hours."""

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from raynas.costs.costs import show_seconds
from raynas.errors import UserError
from raynas.storage.usage import Usage

_SECONDS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}
_GPU_HOURS = "gpuh"
_MOST = 10**9  # of either, which is more than anybody has
_EXAMPLES = "such as 90min, 2h or 8gpuh"


@dataclass(frozen=True)
class Budget:
    """What a run may take at most.

    Attributes:
        most: Seconds of wall time, from its planning to its report; or GPU-hours, which are hours
            times the GPUs that are held in them.
        is_gpu_hours: Which of the two.
    """

    most: float
    is_gpu_hours: bool = False

    @property
    def text(self) -> str:
        """The budget as its flag takes it, the same for 120min and 2h."""
        if self.is_gpu_hours:
            return f"{_plain(self.most)}{_GPU_HOURS}"
        unit = next((unit for unit in ("h", "min") if self.most % _SECONDS[unit] == 0), "s")
        return f"{self.most / _SECONDS[unit]:.10g}{unit}"

    def taken(self, forecast: Usage, beside_seconds: float) -> float:
        """Return the most that a forecast says a run takes, in the budget's own unit.

        Args:
            forecast: Whose high ends are added up.
            beside_seconds: Of what is not in the forecast, such as exports; it holds no GPU.
        """
        stages = forecast.stages.values()
        if not self.is_gpu_hours:
            return sum(stage.range_seconds[1] for stage in stages) + beside_seconds
        return sum(
            stage.gpu_hours * stage.range_seconds[1] / stage.seconds
            for stage in stages
            if stage.seconds
        )

    def allows(self, taken: float) -> bool:
        """Return whether so much is within it."""
        return taken <= self.most

    def show(self, taken: float) -> str:
        """Return an amount in its unit, for a person."""
        if not self.is_gpu_hours:
            return show_seconds(taken)
        digits = 2 if taken < 1 else 3
        return f"{_plain(float(f'{taken:.{digits}g}'))} GPU-hours"


def parse_budget(text: str) -> Budget:
    """Read ``90min``, ``2h``, ``1h30m`` or ``3d`` as a time, ``8gpuh`` as GPU-hours.

    Raises:
        UserError: None of these, or nothing at all.
    """
    word = text.replace(" ", "").lower()
    number = r"(\d+\.?\d*|\.\d+)"
    gpu_hours = re.fullmatch(rf"{number}{_GPU_HOURS}", word)
    parts = re.findall(rf"{number}(min|[smhd])", word)
    if gpu_hours and 0 < (hours := _exact(gpu_hours[1])) < _MOST:
        return Budget(float(hours), is_gpu_hours=True)
    if "".join(map("".join, parts)) == word:
        seconds = round(sum((_exact(number) * _SECONDS[unit] for number, unit in parts), Decimal()))
        if 0 < seconds < _MOST:
            return Budget(seconds)
    raise UserError(f"--budget {text}: wanted a time or GPU-hours, {_EXAMPLES}")


def budget_text(text: str) -> str:
    """Return a budget as it is recorded, 2h for 120min; what is none, as it is."""
    try:
        return parse_budget(text).text
    except UserError:  # with which settings are refused, in one sentence
        return text


def _plain(number: float) -> str:
    """Return a number without an exponent or needless zeros."""
    return f"{Decimal(repr(number)).normalize():f}"


def _exact(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        return Decimal()
