-- Cycles through pre-rendered requests, one body a line:  wrk ... -s cycle.lua URL -- BODIES OFFSET
-- Every connection takes the next one, so that no two requests in a row are alike. The last line printed is JSON.

local ready, position = {}, 0

function init(args)
  wrk.headers["Content-Type"] = "application/json"
  for line in io.lines(args[1]) do
    ready[#ready + 1] = wrk.format("POST", nil, nil, line)
  end
  position = tonumber(args[2]) % #ready
end

function request()
  position = position % #ready + 1
  return ready[position]
end

function done(summary, latency)
  local failed = summary.errors
  io.write(string.format(
    '{"requests": %d, "microseconds": %d, "bytes": %d, "p50": %.1f, "p90": %.1f, "p99": %.1f, "max": %.1f, '
      .. '"status_errors": %d, "socket_errors": %d}\n',
    summary.requests, summary.duration, summary.bytes,
    latency:percentile(50), latency:percentile(90), latency:percentile(99), latency.max,
    failed.status, failed.connect + failed.read + failed.write + failed.timeout))
end
