"""The exception of what the user can mend."""


class UserError(ValueError):
    """A mistake or a circumstance that the user can mend; its message is one sentence that says what to do.

    The command line prints that sentence and nothing else. Any other exception is a fault, of ours or in the user's own
    code, and is shown with the place that it came from.
    """
