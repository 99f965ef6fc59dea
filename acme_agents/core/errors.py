"""How a run can fail: by a mistake that the user can mend, by diverged learning, or by a faulty environment."""


class UserError(ValueError):
    """A mistake or a circumstance that the user can mend; its message is one sentence that says what to do.

    The command line prints that sentence and nothing else. Any other exception is a fault, of ours or in the user's own
    code, and is shown with the place that it came from.
    """


class RunFailed(RuntimeError):
    """A run that has failed. The message gives the whole reason, and the command line prints nothing else."""


class NotFinite(UserError):
    """A metric, a parameter or an action is NaN or infinite: learning has diverged, and a restart would not help."""


class EnvironmentFault(RuntimeError):
    """An environment raised or returned something invalid; if it raised, that exception is the cause.

    An actor whose environment does so is started again.

    Attributes:
      permanent: whether it is certain to happen again, as with a wrong shape.
    """

    def __init__(self, message: str, *, permanent: bool = False):
        """`message` is one sentence: which environment, which call, and what was wrong."""
        super().__init__(message)
        self.permanent = permanent


class AgentFault(RuntimeError):
    """A function of an agent breaks the contract of `core.interfaces`, or raises; if it raised, that is the cause.

    The message is one sentence that begins with the function's name.
    """


class EarlyFault(Exception):
    """A fault in a worker that had done little or nothing; the worker that replaces it may meet the same fault.

    Attributes:
      steps: updates, environment steps or evaluations that the worker had done.
    """

    def __init__(self, steps: int):
        super().__init__(f"A worker failed after {steps} steps.")
        self.steps = steps
