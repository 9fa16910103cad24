"""The two ways in which raynas stops on purpose; anything else that is raised is a bug."""


class UserError(ValueError):
    """A person asked for what cannot work: one sentence with where, got, wanted and fix.

    The launch scripts print it without a traceback and leave with exit code 2.
    """


class StageError(RuntimeError):
    """A stage ran and its result is unusable (a loss that is not finite, every trial failed).

    The launch scripts print it without a traceback and leave with exit code 1; what was
    written before stays in the run folder.
    """
