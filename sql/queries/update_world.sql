UPDATE world SET randomnumber = $2 WHERE id = $1
