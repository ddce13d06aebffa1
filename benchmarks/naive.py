"""The version one would write first: no cache, a new connection for each call, no limit but requests' own.

Under gunicorn with its default workers (sync). Somebody else has to keep `ZENDESK_TOKEN` alive.
"""

import os

import requests
from flask import Flask, Response, jsonify, send_file

app = Flask(__name__)


@app.post("/page")
def show_page() -> Response:
    """Show the page, which asks for the list once it has loaded."""
    return send_file("naive_page.html")


@app.get("/job_specs")
def list_job_specs() -> Response:
    """List the job specs of the one integration."""
    reply = requests.get(
        f"{os.environ['ZENDESK_URL']}/api/services/zis/registry/{os.environ['ZIS_INTEGRATION']}/job_specs",
        headers={"Authorization": f"Bearer {os.environ['ZENDESK_TOKEN']}"},
        timeout=10,
    )
    reply.raise_for_status()
    return jsonify(reply.json())
