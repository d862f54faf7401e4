"""What was measured, shown: tables on the terminal, and a page that needs nothing but itself.

**Invariant:** a report only shows what `results` worked out; it makes no figure of its own.
"""

from . import page, terminal

__all__ = ["page", "terminal"]
