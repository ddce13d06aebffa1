"""How Zendesk says no: the replies that several of its parts give."""

from sandbox.simulator.messages import Reply, json_reply


def not_found() -> Reply:
    """Return the API's 404."""
    return json_reply(404, {"error": "RecordNotFound", "description": "Not found"})


def no_account(host: str) -> Reply:
    """Return what every path of an address without an account answers (public clients, 2026)."""
    message = (
        "There is no help desk configured at this address. This means that the address is available and that you can "
        "claim it at http://www.zendesk.com/signup"
    )
    return json_reply(404, {"error": {"title": f"No help desk at {host}", "message": message}})


def forbidden() -> Reply:
    """Return the API's 403 for somebody of too small a role; `error` is an object in it."""
    message = (
        "You do not have access to this page. Please contact the account owner of this help desk for further help."
    )
    return json_reply(403, {"error": {"title": "Forbidden", "message": message}})


def zis_envelope(status: int, code: str, message: str, detail: str) -> Reply:
    """Return ZIS's documented error; `code` and `status` are texts in it."""
    return json_reply(status, {"errors": [{"code": code, "detail": detail, "status": str(status)}], "message": message})


def dead_token() -> Reply:
    """Return the API's answer to an expired, revoked or unknown token (observed 2016 to 2020)."""
    description = "The access token provided is expired, revoked, malformed or invalid for other reasons."
    return json_reply(401, {"error": "invalid_token", "error_description": description})


def scope_missing(scope: str) -> Reply:
    """Return a 403 for want of scope; its body is undocumented, this one is RFC 6750's."""
    description = f"Missing the following required scopes: {scope}"
    return json_reply(403, {"error": "insufficient_scope", "error_description": description})
