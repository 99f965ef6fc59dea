"""How a run can fail: what the user can mend, what nobody can, and what is neither ours nor the agent's."""


class UserError(ValueError):
    """A mistake or a circumstance that the user can mend; its message is one sentence that says what to do.

    The command line prints that sentence and nothing else. Any other exception is a fault, of ours or in the user's own
    code, and is shown with the place that it came from.
    """


class RunFailed(RuntimeError):
    """A run that has failed for a reason that its message says whole: the command line prints it and nothing else."""


class NotFinite(UserError):
    """A metric, a parameter or an action is NaN or infinite: learning has diverged, and a restart would not help."""


class EnvironmentFault(RuntimeError):
    """An environment raised, or returned what it must not; what it raised is the cause.

    An actor whose environment does so is started again.

    Attributes:
      permanent: whether it would do so again in any case, as where what it returns has the wrong shape.
    """

    def __init__(self, message: str, *, permanent: bool = False):
        """Takes the sentence: which environment, which call, and what was wrong."""
        super().__init__(message)
        self.permanent = permanent


class EarlyFault(Exception):
    """A fault in a worker that had done little or nothing, its cause: the worker that replaces it may meet it too.

    Attributes:
      steps: that the worker had done: updates, environment steps or evaluations.
    """

    def __init__(self, steps: int):
        super().__init__(f"A worker failed after {steps} steps.")
        self.steps = steps
