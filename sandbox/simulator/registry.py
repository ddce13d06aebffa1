"""The ZIS registry, `/api/services/zis`: who may, then what; checks in the order observed.

1 bearer; 2 the token's integration against the path's or the name's; 3 bundle upload with a bearer;
4 an API token where a ZIS token is wanted; 5 admin.
"""

from sandbox.simulator.exchange import Exchange
from sandbox.simulator.integrations import Integration, JobSpec
from sandbox.simulator.messages import Reply, json_reply, text_reply
from sandbox.simulator.refusals import scope_missing, zis_envelope
from sandbox.simulator.registry_lists import list_job_specs

FQN_PARTS = 4
_BODIES = {"empty": b"", "null": b"null", "object": b"{}"}


def registry(exchange: Exchange) -> Reply:  # noqa: PLR0911  # one return a route
    """Answer a request below `/api/services/zis`."""
    refusal = _unauthenticated(exchange) or _over_limit(exchange) or _mismatch(exchange) or _unsuitable(exchange)
    if refusal is not None:
        return refusal
    match exchange.segments[3:]:
        case ("registry", "job_specs", "install"):
            return _change(exchange)
        case ("registry", "integrations") if exchange.method == "GET":
            return _list_integrations(exchange)
        case ("registry", name) if exchange.method == "POST":
            return _create_integration(exchange, name)
        case ("registry", name, "job_specs") if exchange.method == "GET":
            return list_job_specs(exchange, exchange.account.integrations[name])
        case ("registry", name, "bundles", *rest):
            return _bundles(exchange, exchange.account.integrations[name], rest)
        case ("integrations", _, "connections", "all") if exchange.method == "GET":
            empty: dict[str, object] = {"api_key": [], "basic_auth": [], "bearer_token": [], "oauth": [], "meta": {}}
            return json_reply(200, empty)
        case _:
            return text_reply(404, "404 page not found")


def named_integration(exchange: Exchange) -> str | None:
    """Return the integration the request is about: from the path, or from a job spec's qualified name."""
    match exchange.segments[3:]:
        case ("registry", "job_specs", *_):
            parts = exchange.request.query.get("job_spec_name", "").split(":", FQN_PARTS - 1)
            return parts[1] if len(parts) == FQN_PARTS and parts[0] == "zis" else None
        case ("registry", "integrations"):
            return None
        case ("registry" | "integrations", name, *_):
            return name
        case _:
            return None


# --- who may ---


def _unauthenticated(exchange: Exchange) -> Reply | None:
    if exchange.user is not None:
        return None
    if exchange.account.switches.zis_errors == "envelope":
        return zis_envelope(401, "1001", "Unauthorized", "The request is not authorized")
    return text_reply(401, "Authentication failed")


def _over_limit(exchange: Exchange) -> Reply | None:
    switches, account = exchange.account.switches, exchange.account
    if switches.rate_limit == "off":
        return None
    account.zis_requests += 1
    if account.zis_requests % max(switches.rate_limit_every, 1):
        return None
    headers = [("X-Rate-Limit", "700"), ("X-Rate-Limit-Remaining", "0")]
    if switches.rate_limit == "retry_after":
        headers.append(("Retry-After", "1"))
    return text_reply(429, "Number of allowed API requests per minute exceeded", *headers)


def _mismatch(exchange: Exchange) -> Reply | None:
    """Refuse another client's token, another integration's name in any letter, and unregistered integrations."""
    token, name = exchange.token, named_integration(exchange)
    creates = exchange.method == "POST" and exchange.segments[3:] == ("registry", name)
    if creates or exchange.segments[3:] == ("registry", "integrations"):
        return None
    registered = name in exchange.account.integrations
    if token is None:
        # Asked by a browser session, an unregistered integration is a 404 (client code).
        return None if name is None or registered else text_reply(404, "no rows found")
    if token.integration is not None and (name is None or (token.integration == name and registered)):
        return None
    if exchange.account.switches.zis_errors == "envelope":
        return zis_envelope(401, "1001", "Unauthorized", "Authorization failed due to integration mismatch")
    return text_reply(401, "Authorization failed due to integration mismatch")


def _unsuitable(exchange: Exchange) -> Reply | None:
    token, tail = exchange.token, exchange.segments[3:]
    if token is not None and tail[2:] == ("bundles",) and exchange.method == "POST":
        return text_reply(401, "Authorization failed due to OAuth being disabled for this API request")
    if exchange.by_api_token and "connections" in tail:
        return text_reply(403, "API token is not supported")
    if exchange.user is None or not exchange.user.is_admin:
        return text_reply(403, "Only admin user is allowed")
    kind = "read" if exchange.method == "GET" else "write"
    if token is not None and not token.covers(kind):
        return scope_missing(kind)
    return None


# --- job specs ---


def _change(exchange: Exchange) -> Reply:
    qualified_name = exchange.request.query.get("job_spec_name", "")
    integration = exchange.account.integrations.get(named_integration(exchange) or "")
    parts = qualified_name.split(":", FQN_PARTS - 1)
    spec = integration.find(parts[3]) if integration is not None and parts[2] == "job_spec" else None
    match exchange.method:
        case "POST":
            return _install(exchange, spec, parts[-1])
        case "DELETE":
            return _uninstall(exchange, spec)
        case _:
            return text_reply(404, "404 page not found")


def _install(exchange: Exchange, spec: JobSpec | None, asked: str) -> Reply:
    switches = exchange.account.switches
    if spec is None:
        message = f"one or more requested job specs is invalid: {asked}"
        if switches.zis_errors == "envelope":
            # The word is Zendesk's own.
            return zis_envelope(400, "1010", "Unauthorized", message)
        return json_reply(400, {"message": message})
    repeated = spec.installed and spec.armed
    spec.installed = spec.armed = True
    if repeated and switches.repeat_install != 200:  # the switch's other value
        return json_reply(switches.repeat_install, {"message": f"job spec is already installed: {spec.name}"})
    return Reply(200, _BODIES[switches.install_body], "text/plain; charset=utf-8")


def _uninstall(exchange: Exchange, spec: JobSpec | None) -> Reply:
    switches = exchange.account.switches
    if spec is None or not spec.installed:
        if switches.uninstall_absent == 204 and spec is not None:  # the switch's other value
            return Reply(204)
        if switches.zis_errors == "envelope":
            return zis_envelope(404, "1020", "Not Found", "The job spec is not installed")
        return json_reply(404, {"message": "job spec is not installed"})
    spec.installed = spec.armed = False
    if not spec.in_bundle:
        exchange.account.integrations[spec.integration].job_specs.remove(spec)
    return Reply(204)


# --- integrations and bundles ---


def _list_integrations(exchange: Exchange) -> Reply:
    return json_reply(200, {"integrations": [_integration_json(exchange, one) for one in _all(exchange)]})


def _all(exchange: Exchange) -> list[Integration]:
    return list(exchange.account.integrations.values())


def _integration_json(exchange: Exchange, integration: Integration) -> dict[str, object]:
    client = exchange.account.clients[f"zis_{integration.name}"]
    return {
        "name": integration.name,
        "description": integration.description,
        "jwt_public_key": "",
        "zendesk_oauth_client": {"id": client.id, "identifier": client.identifier, "secret": "************"},
    }


def _create_integration(exchange: Exchange, name: str) -> Reply:
    owner = exchange.world.owner_of(name)
    if owner is not None and owner is not exchange.account:
        message = f"the integration: {name} is not available for upsert by this account"
        return json_reply(400, {"message": message})
    body = exchange.request.json()
    description = str(body.get("description", "")) if isinstance(body, dict) else ""
    if owner is exchange.account and exchange.account.switches.create_existing == 409:  # see above
        return json_reply(409, {"message": f"the integration: {name} exists"})
    integration = exchange.account.integrations.get(name) or exchange.account.add_integration(name, description)
    shown = _integration_json(exchange, integration)
    client = exchange.account.clients[f"zis_{name}"]
    shown["zendesk_oauth_client"] = {"id": client.id, "identifier": client.identifier, "secret": client.secret}
    return json_reply(200, shown)


def _bundles(exchange: Exchange, integration: Integration, path: list[str]) -> Reply:
    bundle = integration.bundle_json(exchange.account.zendesk_account_id)
    match exchange.method, path:
        case "GET", []:
            meta = {"after": bundle["uuid"], "before": bundle["uuid"], "has_more": False}
            return json_reply(200, {"bundles": [bundle], "meta": meta})
        case "GET", [uuid] if uuid == bundle["uuid"]:
            return json_reply(200, integration.whole_bundle_json(exchange.account.zendesk_account_id))
        case "POST", []:
            body = exchange.request.json()
            resources = body.get("resources") if isinstance(body, dict) else None
            names = _names_of_job_specs(resources)
            if names is None:
                return json_reply(400, {"message": "the bundle has no job spec"})
            clear = exchange.account.switches.upload == "reset"
            integration.upload_bundle(names, clear_installed=clear)
            return Reply(200, b"", "text/plain; charset=utf-8")
        case _:
            return text_reply(404, "404 page not found")


def _names_of_job_specs(resources: object) -> list[str] | None:
    """Return the `properties.name` of every job spec among a bundle's resources; None: there is none."""
    names = []
    for resource in resources.values() if isinstance(resources, dict) else ():
        properties = resource.get("properties") if isinstance(resource, dict) else None
        if isinstance(properties, dict) and resource.get("type") == "ZIS::JobSpec":
            names.append(str(properties.get("name")))
    return names or None
