"""`make soak`: mixed load for as long as one likes, a random fault every half minute, each answer checked.

In the order a run meets them: `measure` reads the command line and leads through the run; `cluster` is the PostgreSQL
that it starts, stops and hangs, `house` the service in front of it; `crowd` the clients, `wire` their connections,
`answers` what a right answer is; `faults` what is done to all of them, `on_database`, `on_service` and `by_clients`
how, `schedule` when; `timeline` knows which fault is in force and what it allows, `ledger` counts what became of each
request, `truth` knows which numbers each row has had; `sampler` looks at memory and descriptors, `drift` says what
became of them; `report` writes it down.

**Invariant:** a request that was sent ends in exactly one count, and whatever no fault in force allows is wrong.
"""
