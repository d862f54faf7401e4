-- The two tables of the TechEmpower benchmarks, in the shape its toolset makes them. May be run any number of times,
-- also by several at once: a table that is there is left as it is. The comments mark the tables as ours, so that
-- `plimsoll init-db` can tell them from tables of the same name that somebody else made.
DO $$
BEGIN
    -- The lock that `plimsoll init-db` takes too ("plimsoll" read as a number); the transaction's end gives it back.
    PERFORM pg_advisory_xact_lock(8100965748541713516);
    IF to_regclass('world') IS NULL THEN
        CREATE TABLE world (
            id integer PRIMARY KEY,
            randomnumber integer NOT NULL DEFAULT 0
        );
        COMMENT ON TABLE world IS 'made by plimsoll';
    END IF;
    IF to_regclass('fortune') IS NULL THEN
        CREATE TABLE fortune (
            id integer PRIMARY KEY,
            message varchar(2048) NOT NULL
        );
        COMMENT ON TABLE fortune IS 'made by plimsoll';
    END IF;
END
$$;
