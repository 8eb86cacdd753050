"""What ends a migration early."""


class Failed(Exception):  # noqa: N818 - says what happened
    """It cannot go on; one line that says why, and what to do."""
