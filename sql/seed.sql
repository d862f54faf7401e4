-- 10 000 rows of world and the 12 fortunes (texts and shape: TechEmpower Framework Benchmarks, "Fortunes" and "Database"
-- test requirements). May be run any number of times, also by several at once: rows that are there keep their values,
-- and tables that are not ours by their comment are left alone. Statistics are made anew where rows were added, so
-- that the first plans are made with the rows in sight.
DO $$
DECLARE
    added bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(8100965748541713516);
    IF obj_description(to_regclass('world'), 'pg_class') = 'made by plimsoll' THEN
        INSERT INTO world (id, randomnumber)
        SELECT n, 1 + floor(random() * 10000)::integer
        FROM generate_series(1, 10000) AS n
        ON CONFLICT (id) DO NOTHING;
        GET DIAGNOSTICS added = ROW_COUNT;
        IF added > 0 THEN
            ANALYZE world;
        END IF;
    END IF;
    IF obj_description(to_regclass('fortune'), 'pg_class') = 'made by plimsoll' THEN
        INSERT INTO fortune (id, message)
        VALUES
            (1, 'fortune: No such file or directory'),
            (2, 'A computer scientist is someone who fixes things that aren''t broken.'),
            (3, 'After enough decimal places, nobody gives a damn.'),
            (4, 'A bad random number generator: 1, 1, 1, 1, 1, 4.33e+67, 1, 1, 1'),
            (5, 'A computer program does what you tell it to do, not what you want it to do.'),
            (6, 'Emacs is a nice operating system, but I prefer UNIX. — Tom Christaensen'),
            (7, 'Any program that runs right is obsolete.'),
            (8, 'A list is only as strong as its weakest link. — Donald Knuth'),
            (9, 'Feature: A bug with seniority.'),
            (10, 'Computers make very fast, very accurate mistakes.'),
            (11, '<script>alert("This should not be displayed in a browser alert box.");</script>'),
            (12, 'フレームワークのベンチマーク')
        ON CONFLICT (id) DO NOTHING;
        GET DIAGNOSTICS added = ROW_COUNT;
        IF added > 0 THEN
            ANALYZE fortune;
        END IF;
    END IF;
END
$$;
