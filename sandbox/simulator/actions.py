"""What can be done to an account by name: events an integrator meets, on demand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.simulator.accounts import Account


@dataclass(frozen=True, slots=True)
class Action:
    """One action: what it does, its JSON arguments, and the doing."""

    meaning: str
    arguments: dict[str, str]
    perform: Callable[[Account, dict[str, Any]], dict[str, Any]]


def _expire(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    return {"expired": account.expire_access_tokens(asked.get("client"))}


def _revoke(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    return {"revoked": account.revoke_grants(asked.get("client"))}


def _set_user(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    members = ("role", "suspended", "active", "role_type", "restricted_agent", "custom_role_id")
    account.set_user(int(asked["user_id"]), **{member: asked.get(member) for member in members})
    return {"user": account.users[int(asked["user_id"])].to_json(account.subdomain)}


def _delete_user(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    account.delete_user(int(asked["user_id"]))
    return {}


def _upload_bundle(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    clear = account.switches.upload == "reset"
    account.integrations[asked["integration"]].upload_bundle(asked.get("job_specs"), clear_installed=clear)
    return {}


def _set_job_specs(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    account.integrations[asked["integration"]].resize(int(asked["count"]))
    return {"count": len(account.integrations[asked["integration"]].job_specs)}


def _register(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    account.add_integration(asked["integration"]).resize(int(asked.get("count", 3)))
    return {}


def _unregister(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    account.unregister_integration(asked["integration"])
    return {}


def _rename(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    account.renamed_to = asked.get("to")
    return {}


def _release(account: Account, asked: dict[str, Any]) -> dict[str, Any]:
    del asked
    account.release()
    return {}


ACTIONS: dict[str, Action] = {
    "expire_access_tokens": Action(
        "ends the life of access tokens now; refresh tokens stay",
        {"client": "identifier of one client (optional)"},
        _expire,
    ),
    "revoke_grants": Action(
        "revokes access and refresh tokens, as an admin would",
        {"client": "identifier of one client (optional)"},
        _revoke,
    ),
    "set_user": Action(
        "changes a person",
        {
            "user_id": "number",
            "role": "admin | agent | end-user",
            "suspended": "true | false",
            "active": "true | false",
            "role_type": "0 custom role | 1 light agent | 2 chat-only agent | 3 contributor",
            "restricted_agent": "true | false",
            "custom_role_id": "number",
        },
        _set_user,
    ),
    "delete_user": Action("removes a person and revokes their tokens", {"user_id": "number"}, _delete_user),
    "upload_bundle": Action(
        "uploads a bundle: installed specs stop firing; installed specs it leaves out stay",
        {"integration": "name", "job_specs": "short names (optional: the present ones)"},
        _upload_bundle,
    ),
    "set_job_specs": Action(
        "gives an integration this many job specs", {"integration": "name", "count": "number"}, _set_job_specs
    ),
    "register_integration": Action(
        "registers an integration", {"integration": "name", "count": "number of job specs (default 3)"}, _register
    ),
    "unregister_integration": Action(
        "forgets an integration; its tokens meet a mismatch", {"integration": "name"}, _unregister
    ),
    "rename": Action(
        "every path of this address answers 404, No help desk (Zendesk redirects nothing); null: back again",
        {"to": "subdomain or null"},
        _rename,
    ),
    "release": Action("lets go every held, hanging or slowed request", {}, _release),
}
