"""Architectures as values: a candidate index for each choice of a space."""

import re
from typing import Self

from raynas.errors import UserError


class Architecture(tuple[int, ...]):
    """A candidate index per layer, a value; its text form is ``3-0-5``."""

    __slots__ = ()

    def __str__(self) -> str:
        return "-".join(map(str, self))

    def __repr__(self) -> str:
        return f"Architecture({self})"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read ``3-0-5``; spaces and commas separate as well, and -1 may stand for identity.

        Raises:
            UserError: The text is not a list of whole numbers.
        """
        if not re.fullmatch(r"\s*-?\d+([-,\s]\s*-?\d+)*\s*", text):
            raise UserError(
                f"architecture {text!r}: wanted a candidate index per layer, such as 3-0-5"
            )
        return cls(int(number) for number in re.findall(r"(?:^|(?<=[-,\s]))-?\d+", text.strip()))
