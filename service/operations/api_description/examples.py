"""An example body for each route, for the description and its page; a test reads them by the routes' models."""

from typing import Any

_JOB_SPEC = {
    "name": "escalate_vip_order",
    "qualified_name": "zis:acme_orders:job_spec:escalate_vip_order",
    "integration": "acme_orders",
    "description": "Raises the priority of orders by VIPs.",
    "event_source": "support",
    "event_type": "ticket.TicketCreated",
    "flow_name": "escalate_vip_order_flow",
    "installed": True,
    "uuid": "a9e4b1de-7b0f-5b1c-9d5e-2f6a7c1b8e30",
    "left_over": False,
}
_INSTALLED = {"job_spec": _JOB_SPEC, "verified": True}
_UNINSTALLED = {"job_spec": _JOB_SPEC | {"installed": False}, "verified": True}
_SESSION = {"session_token": "eyJhbGciOiJIUzI1NiJ9.eyJ…", "expires_at": "2026-11-29T10:15:00Z", "expires_in": 900}
_CHANGE = {"integration": "acme_orders", "name": "escalate_vip_order", "change": "install", "detail": None}

DESIRED_STATE: dict[str, Any] = {
    "account": "acme",
    "integrations": {"acme_orders": {"installed": ["escalate_vip_order"], "uninstalled": ["copy_public_comment"]}},
}

BODIES: dict[str, dict[str, Any]] = {
    "claimSession": {"claim": "bG9uZ2VyLXRoYW4tYW55Ym9keS1jb3VsZC1ndWVzcyE"},
    "planDesiredState": DESIRED_STATE,
    "applyDesiredState": DESIRED_STATE,
}
"""What the routes take that take a document, by `operationId`."""

ANSWERS: dict[str, dict[str, Any]] = {
    "getStatus": {
        "account": "acme",
        "user": {"id": 101, "role": "admin", "can_manage": True, "reason": None},
        "connection": {
            "state": "connected",
            "reason": None,
            "authorized_at": "2026-11-29T09:00:00Z",
            "authorized_by": {"id": 101, "name": "Ada Morgan"},
            "scope": "read write",
            "access_token_expires_at": "2026-11-29T10:30:00Z",
            "refresh_token_expires_at": "2027-02-26T09:00:00Z",
        },
        "integrations": [{"name": "acme_orders", "state": "ready", "detail": None}],
        "authorize_url": "https://zis.example.com/oauth/authorize?subdomain=acme",
    },
    "listJobSpecs": {
        "job_specs": [_JOB_SPEC],
        "integrations": [
            {"name": "acme_orders", "fetched_at": "2026-11-29T10:00:00Z", "stale": False, "error": None},
            {
                "name": "acme_shipping",
                "fetched_at": None,
                "stale": False,
                "error": {
                    "code": "rate_limited",
                    "title": "Too many requests",
                    "detail": "Zendesk limits requests. Try again in 27 seconds.",
                    "upstream_status": 429,
                    "upstream_detail": None,
                    "retry_after": 27,
                },
            },
        ],
    },
    "installNamedJobSpec": _INSTALLED,
    "uninstallNamedJobSpec": _UNINSTALLED,
    "installJobSpec": _INSTALLED,
    "uninstallJobSpec": _UNINSTALLED,
    "planDesiredState": {"changes": [_CHANGE | {"result": None}], "left": 1},
    "applyDesiredState": {"changes": [_CHANGE | {"result": "ok"}], "left": 0},
    "renewSession": _SESSION,
    "claimSession": _SESSION,
    "disconnect": {"revoked": True},
    "listActivity": {
        "activity": [
            {
                "at": "2026-11-29T10:00:00Z",
                "action": "installed",
                "actor": {"id": 101, "name": "Ada Morgan"},
                "integration": "acme_orders",
                "job_spec": "escalate_vip_order",
                "result": "ok",
                "installation_id": 600001,
                "request_id": "9f3c0c6a1f0b4f1f9d3a5f1f2b7c8d90",
                "count": 1,
                "items": None,
            }
        ]
    },
    "isLive": {"status": "ok", "version": "0.1.0", "commit": None},
    "isReady": {"status": "ok"},
}
"""What the routes answer, by `operationId`."""

PROBLEM: dict[str, Any] = {
    "type": "https://zis.example.com/docs#rate_limited",
    "title": "Too many requests",
    "status": 429,
    "detail": "Zendesk limits requests. Try again in 27 seconds.",
    "code": "rate_limited",
    "request_id": "9f3c0c6a1f0b4f1f9d3a5f1f2b7c8d90",
    "upstream_status": 429,
    "retry_after": 27,
}
"""A problem document."""
