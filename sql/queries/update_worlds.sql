UPDATE world
SET randomnumber = v.r
FROM unnest($1::int4[], $2::int4[]) AS v(i, r)
WHERE world.id = v.i
