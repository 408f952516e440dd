-- wrk's script: a file of bodies, one a line, posted in turn; a line of JSON at the end.
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.headers["Accept"] = "application/json"

local bodies, turn = {}, 0

function init(args)
  for body in io.lines(args[1]) do
    bodies[#bodies + 1] = body
  end
  -- Each of wrk's threads begins elsewhere.
  math.randomseed(tonumber(tostring(bodies):sub(-6), 16) or 1)
  turn = math.random(#bodies)
end

function request()
  turn = turn % #bodies + 1
  return wrk.format(nil, nil, nil, bodies[turn])
end

function done(summary, latency, requests)
  local failed = summary.errors.status + summary.errors.connect + summary.errors.read
    + summary.errors.write + summary.errors.timeout
  io.write(string.format(
    'JSON {"requests": %d, "seconds": %.3f, "failed": %d, "p50": %.3f, "p95": %.3f, "p99": %.3f}\n',
    summary.requests, summary.duration / 1e6, failed, latency:percentile(50) / 1000,
    latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
