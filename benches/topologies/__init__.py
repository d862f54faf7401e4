"""`make compare-topologies`: the ways to arrange processes, threads and accepts, side by side.

`arrangement` says which there are, `plan` which runs and in which order, `holder` keeps idle connections, `generator`
is `plimsoll load`, `memory` what a server has resident, `skew` how evenly its workers took connections; `measure` makes
the runs, `figures` works them out, `page` shows them.

**Invariant:** every arrangement meets the same requests of the same generator in the same order of cells.
"""
