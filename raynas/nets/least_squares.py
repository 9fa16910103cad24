"""A linear map fitted to features: by least squares that stay near a map that is known.

    minimise over W, b:   mean |W h + b - t|^2 + r sum over j of G_jj |W_j - P_j|^2

h are features, t is what is wanted of them, P the known map, G the covariance of h. So the ridge
r weighs a change of a column by how much it changes the result, were the features uncorrelated; an
infinite one leaves P. It is chosen by images that the fit does not see.
"""

from dataclasses import dataclass

import torch

RIDGES = (1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0)
_HELD_OUT = 4  # one image of so many is not seen while the ridge is chosen


@dataclass(frozen=True)
class Moments:
    """What a fit needs to know of features h (d of them) and of what is wanted, t (c of it).

    Attributes:
        features: d, the means of h.
        wanted: c, the means of t.
        gram: d x d, the covariance of h.
        cross: d x c, the covariance of h and t.
    """

    features: torch.Tensor
    wanted: torch.Tensor
    gram: torch.Tensor
    cross: torch.Tensor


def moments(features: torch.Tensor, wanted: torch.Tensor) -> Moments:
    """Return the moments of images x samples x d and images x samples x c."""
    features, wanted = features.flatten(0, 1), wanted.flatten(0, 1)
    means, goals = features.mean(0), wanted.mean(0)
    centred = features - means
    gram = centred.T @ centred / len(features)
    return Moments(means, goals, gram, cross=centred.T @ (wanted - goals) / len(features))


def fit(
    features: torch.Tensor, wanted: torch.Tensor, known: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return W, c x d, and b, c, in float64.

    Args:
        features: Images x samples of each x d.
        wanted: Images x samples of each x c.
        known: The map P, c x d.
    """
    features, wanted, known = features.double(), wanted.double(), known.double()
    unseen = torch.arange(len(features), device=features.device) % _HELD_OUT == _HELD_OUT - 1
    ridge = RIDGES[-1]
    if unseen.any():
        seen = moments(features[~unseen], wanted[~unseen])
        rest = features[unseen], wanted[unseen]
        ridge = min(RIDGES, key=lambda ridge: _error(solve(seen, known, ridge), *rest))
    return solve(moments(features, wanted), known, ridge)


def solve(moments: Moments, known: torch.Tensor, ridge: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return W and b for one ridge r.

    With G the covariance of h and X that of h and t, the gradient is zero where

        (G + r diag G) (W - P)^T = X - G P^T,   b = mean t - W mean h
    """
    gram = moments.gram
    diagonal = gram.diagonal()
    constant = 1e-9 * diagonal.mean() + 1e-30  # for features that do not vary at all
    system = gram + (ridge * diagonal + constant).diag()
    change = torch.linalg.solve(system, moments.cross - gram @ known.T)
    weight = known + change.T
    return weight, moments.wanted - weight @ moments.features


def _error(
    fitted: tuple[torch.Tensor, torch.Tensor], features: torch.Tensor, wanted: torch.Tensor
) -> float:
    weight, offset = fitted
    return (features @ weight.T + offset - wanted).square().sum().item()
