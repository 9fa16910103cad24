"""The differentiable settings of the three published methods, from their files."""

from raynas.settings.methods import load_method
from tests.builders import ROOT

METHODS = ROOT / "launch" / "settings"
PRDARTS, DARTS, PCDARTS = (
    load_method(name, METHODS).differentiable for name in ("prdarts", "darts", "pcdarts")
)
