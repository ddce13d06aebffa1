-- Sends the requests of a file one after the other, lines of "path<TAB>authorization", and tells as JSON what came back.

local file_name = nil
local requests = {}
local position = 0

function setup(thread)
  thread:set("from_command", true)
end

function init(arguments)
  file_name = arguments[1]
  for line in io.lines(file_name) do
    local path, authorization = line:match("^([^\t]*)\t(.*)$")
    local headers = { ["Host"] = wrk.headers["Host"] }
    if authorization ~= "" then headers["Authorization"] = authorization end
    requests[#requests + 1] = wrk.format("GET", path, headers)
  end
end

function request()
  position = position % #requests + 1
  return requests[position]
end

function done(summary, latency, _)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
  io.write(string.format(
    '{"requests": %d, "failed": %d, "seconds": %.6f, "p50": %.3f, "p95": %.3f, "p99": %.3f}\n',
    summary.requests, failed, summary.duration / 1e6,
    latency:percentile(50) / 1000, latency:percentile(95) / 1000, latency:percentile(99) / 1000))
end
