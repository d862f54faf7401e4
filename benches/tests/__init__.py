"""Tests of the pure parts: `python3 -m unittest discover --start-directory benches/tests --top-level-directory .`

**Invariant:** nothing here starts a process, opens a socket or reads a clock.
"""
