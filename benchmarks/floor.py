"""The least that Flask costs: a constant of the size of a list."""

from flask import Flask

from benchmarks.upstream import JOB_SPECS, http_reply, job_spec
from service.server.logs import configure_logs

# The line of the access log is the service's own.
configure_logs("logfmt")
app = Flask(__name__)
_BODY = http_reply([job_spec("bench_orders", number) for number in range(JOB_SPECS)]).partition(b"\r\n\r\n")[2]


@app.get("/")
def constant() -> tuple[bytes, dict[str, str]]:
    """Answer the same to everybody."""
    return _BODY, {"Content-Type": "application/json"}
