"""What went wrong, in words for the person who typed the command.

**Invariant:** a problem names the way out beside the trouble, and is printed without a traceback.
"""


class Problem(Exception):
    """Ends the command with exit code 1 and two sentences: what is the matter, and what to do about it."""

    def __init__(self, trouble: str, way_out: str) -> None:
        super().__init__(f"{trouble}\n  {way_out}")
