SELECT id, randomnumber FROM world WHERE id = $1
