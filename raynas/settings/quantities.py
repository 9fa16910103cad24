"""Flags that are numbers with units: ``330M`` multiply-adds, ``12ms``, ``2h``."""

from typing import Annotated

import tyro

from raynas.costs.budget import budget_text
from raynas.costs.costs import parse_duration, parse_quantity

Quantity = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="N[k|M|G]",
        instance_from_str=lambda args: parse_quantity(args[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [str(value)],
    ),
]
Duration = Annotated[
    int,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="N{ms|us|s}",
        instance_from_str=lambda args: parse_duration(args[0]),
        is_instance=lambda value: isinstance(value, int),
        str_from_instance=lambda value: [f"{value}ns"],
    ),
]
BudgetText = Annotated[
    str,
    tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="N{min|h|d|gpuh}",
        instance_from_str=lambda args: budget_text(args[0]),
        is_instance=lambda value: isinstance(value, str),
        str_from_instance=lambda value: [value],
    ),
]
