-- Sends several requests at once on each connection (HTTP pipelining); how many is the argument after `--`.
-- The bytes are made once: wrk shall load the server, not itself.
local batch

function init(args)
   batch = string.rep(wrk.format(), tonumber(args[1]) or 16)
end

function request()
   return batch
end
