"""The simulator's own surface, `/_sim`: switches, faults, actions and the call log, over HTTP as JSON.

GET    /_sim/                                  this list, every switch with its values, fault kinds, actions
GET    /_sim/accounts                          the accounts, short
GET    /_sim/accounts/{s}                      one account: people, integrations with job specs, live tokens by
                                               client (numbers, no secrets), switches, faults
PATCH  /_sim/accounts/{s}/switches             {switch: value, …}; all or none; held requests are released
PUT    /_sim/accounts/{s}/faults               [fault, …] in place of the present ones; held requests are released
POST   /_sim/accounts/{s}/actions/{name}       JSON arguments of the action
GET    /_sim/calls?account=&path_contains=&method=&grant_type=&integration=&status=
                                               {"count", "calls"}, every criterion optional
DELETE /_sim/calls                             empties the log
POST   /_sim/sign                              {"account", "user_id", …}: a signed request for the sidebar
POST   /_sim/reset                             the default world again

A refusal is `{"error": "…"}` with status 400, 403 or 404. Only a loopback `Host` is answered, and of pages only those
of this very origin: any page that a developer opens meanwhile could otherwise sign itself in, by a form or a rebound
name.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.simulator.accounts import Account
from sandbox.simulator.actions import ACTIONS
from sandbox.simulator.faults import KINDS, PLACES, Fault
from sandbox.simulator.integrations import Integration, JobSpec
from sandbox.simulator.messages import Reply, Request, json_reply
from sandbox.simulator.switches import CHOICES, Switches
from sandbox.simulator.world import World

ROUTES = [line.strip() for line in __doc__.split("\n\n")[1].splitlines()]
_LOOPBACK_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.ASCII)
# A log of a load test would fill the screen; the count is exact all the same.
CALLS_SHOWN = 1000


@dataclass(frozen=True, slots=True)
class Control:
    """Answers `/_sim`."""

    world: World
    sign: Callable[..., str]
    reset: Callable[[], None]
    people_changed: Callable[[], None]
    """Told after what may change who somebody is."""

    def answer(self, request: Request) -> Reply:
        """Answer a request below `/_sim`."""
        if not _is_ours(request):
            return json_reply(403, {"error": "only this machine's own pages and programs are answered here"})
        try:
            with self.world.lock:
                return self._route(request)
        except KeyError as exc:
            return json_reply(404, {"error": f"there is no {exc.args[0]!r}, or it is missing from the request"})
        except (ValueError, TypeError) as exc:
            return json_reply(400, {"error": str(exc)})

    def _route(self, request: Request) -> Reply:  # noqa: PLR0911  # one return a route
        match request.method, request.segments[1:]:
            case "GET", () | ("",):
                return json_reply(200, _description())
            case "GET", ("accounts",):
                return json_reply(200, {"accounts": [_short(one) for one in self.world.accounts.values()]})
            case method, ("accounts", subdomain, *rest):
                return self._account(method, self.world.accounts[subdomain], rest, request)
            case method, ("calls",):
                return self._calls(method, request)
            case "POST", ("sign",):
                return json_reply(200, {"token": self.sign(**_object(request))})
            case "POST", ("reset",):
                self.reset()
                return json_reply(200, {})
            case _:
                return json_reply(404, {"error": "no such route; GET /_sim/ lists them"})

    def _account(self, method: str, account: Account, path: list[str], request: Request) -> Reply:
        match method, path:
            case "GET", []:
                pass
            case "PATCH", ["switches"]:
                account.switches.set(_object(request))
                account.release()
                self.people_changed()
            case "PUT", ["faults"]:
                value = request.json()
                if not isinstance(value, list):
                    raise TypeError("the faults are a list")
                account.faults = [Fault.from_json(fault) for fault in value]
                account.release()
                self.people_changed()
            case "POST", ["actions", name]:
                done = ACTIONS[name].perform(account, _object(request))
                self.people_changed()
                return json_reply(200, done)
            case _:
                return json_reply(404, {"error": "no such route; GET /_sim/ lists them"})
        return json_reply(200, _whole(account))

    def _calls(self, method: str, request: Request) -> Reply:
        if method == "DELETE":
            self.world.clear_calls()
        query: dict[str, Any] = dict(request.query)
        if "status" in query:
            query["status"] = int(query["status"])
        calls = self.world.calls(**query)
        return json_reply(200, {"count": len(calls), "calls": [call.to_json() for call in calls[-CALLS_SHOWN:]]})


def _is_ours(request: Request) -> bool:
    """Return whether no other site's page asks: by a name it has bound to this address, or across origins."""
    host = request.headers.get("host", "").lower()
    if _LOOPBACK_HOST.fullmatch(host) is None:
        return False
    if request.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
        return False
    return request.headers.get("origin", f"http://{host}") == f"http://{host}"


def _object(request: Request) -> dict[str, Any]:
    if not request.body:
        return {}
    value = request.json()
    if not isinstance(value, dict):
        raise TypeError("the body is a JSON object")
    return value


def _description() -> dict[str, Any]:
    defaults = Switches().to_json()
    switches = {
        name: {"meaning": choice.meaning, "values": choice.values or None, "default": defaults[name]}
        for name, choice in CHOICES.items()
    }
    actions = {name: {"meaning": action.meaning, "arguments": action.arguments} for name, action in ACTIONS.items()}
    places = [*PLACES, "registry:<integration>"]
    return {
        "routes": ROUTES,
        "switches": switches,
        "faults": {"where": places, "kind": KINDS, "members": Fault("all", "slow").to_json()},
        "actions": actions,
    }


def _short(account: Account) -> dict[str, Any]:
    return {
        "subdomain": account.subdomain,
        "zendesk_account_id": account.zendesk_account_id,
        "users": [user.to_json(account.subdomain) for user in account.users.values()],
        "integrations": [_counted(one) for one in account.integrations.values()],
    }


def _counted(integration: Integration) -> dict[str, Any]:
    specs = integration.job_specs
    return {"name": integration.name, "count": len(specs), "installed_count": sum(spec.installed for spec in specs)}


def _whole(account: Account) -> dict[str, Any]:
    integrations = [
        _counted(one) | {"job_specs": [_job_spec(spec) for spec in one.job_specs]}
        for one in account.integrations.values()
    ]
    return _short(account) | {
        "integrations": integrations,
        "installation_id": account.installation_id,
        "renamed_to": account.renamed_to,
        "clients": len(account.clients),
        "live_tokens": account.live_tokens(),
        "switches": account.switches.to_json(),
        "faults": [fault.to_json() for fault in account.faults],
    }


def _job_spec(spec: JobSpec) -> dict[str, Any]:
    return {
        "name": spec.name,
        "event_type": spec.event_type,
        "installed": spec.installed,
        "armed": spec.armed,
        "in_bundle": spec.in_bundle,
    }
