"""The measuring instruments: `make bench` compares servers under load, `make compare-topologies` our own arrangements,
`make instructions` counts what a request costs.

In the order a run meets them: `__main__` reads the command line; `targets` says what is compared and `builds` makes
it; `postgres` is the database in front of which it happens, `service` one server in it, `children` whatever was
started; `plan` is the order of the runs, `wrk` the load, `accounting` the CPU it took; `pairing` makes figures of the
runs, `report` shows them. `topologies` has rooms of its own for what it does not share with these. `instructions` is
the third instrument, with `callgrind`, `client`, `gate` and `baseline`.

**Invariant:** only Python's standard library is imported, and nothing but loopback is loaded.
"""
