"""Each error code: why it happens, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cure:
    """A cause and what helps, in words for whoever meets the code."""

    cause: str
    cure: str


CURES: dict[str, Cure] = {
    "invalid_request": Cure(
        "A parameter, name, subdomain or body is not of the form this address takes, or is unknown or repeated.",
        "`detail` names it; of a document of desired state `errors` names every fault with its "
        "place. Correct the call; a page of this service that meets it should be reloaded.",
    ),
    "invalid_state": Cure(
        "The attempt to connect was begun more than ten minutes ago, has been used already, or was begun in another "
        "browser. The answer does not say which.",
        "Connect again, and finish in the same browser within ten minutes.",
    ),
    "integration_required": Cure(
        "Several integrations of the account hold a job spec of this short name.",
        "Add `?integration=`, or give the qualified name (`zis:INTEGRATION:job_spec:NAME`).",
    ),
    "unauthenticated": Cure(
        "The session token is missing, expired or not ours; or, on opening the page, Zendesk's signed request is.",
        "A machine token may also have expired or been revoked, and is good for the list of job specs, `plan`, "
        "`apply`, install and uninstall alone. Trade a session token at `POST /api/v1/session`; twelve hours after "
        "the app was opened, reload the app. If opening it fails: the app needs `signedUrls`, and `ZENDESK_APPS` has "
        "to name this app's id.",
    ),
    "access_denied": Cure(
        "Somebody pressed Deny on Zendesk's consent page.",
        "Nothing was changed. Connect again and press Allow.",
    ),
    "admin_required": Cure(
        "Zendesk's integration services (ZIS) accept admins only, and the person who consented is not an admin, or no "
        "longer.",
        "An admin of the account connects it (again).",
    ),
    "account_not_allowed": Cure(
        "The account is not in `ZENDESK_SUBDOMAINS`, or no Zendesk app is configured for it in `ZENDESK_APPS`.",
        "The operator adds it and restarts the service.",
    ),
    "account_mismatch": Cure(
        "The admin was signed in to another Zendesk account than the one that was to be connected.",
        "Sign out there, or use a private window, and connect again.",
    ),
    "scope_insufficient": Cure(
        "Zendesk granted less than was asked for (unknown scopes vanish silently), or refuses a call for scope.",
        "Compare `ZENDESK_SCOPE` with the scopes of the OAuth client in Admin Center, and connect again.",
    ),
    "manager_role_required": Cure(
        "Only managers may change anything: admins, and whom `MANAGER_ROLES` (full agents alone) or `MANAGER_USER_IDS` "
        "adds, if they are neither suspended nor deleted. Zendesk was asked at most five minutes ago.",
        "`detail` says what Zendesk answered. Ask an admin; or the operator adds the role or the person.",
    ),
    "agent_required": Cure(
        "Zendesk knows the person as an end user, suspended or deleted, or not at all; or the account is not "
        "connected or is gone, and they are not remembered as having looked or managed within 90 days.",
        "`detail` says which. Sign in to Zendesk as an agent, or have an admin connect the account.",
    ),
    "origin_not_allowed": Cure(
        "A page of an origin that `ALLOWED_ORIGINS` does not have posted a sign-in; or one that sends no origin, or "
        "`null`, because of `Referrer-Policy: no-referrer` or a sandboxed frame.",
        "The operator adds exactly that origin. A page that sends none needs another policy, such as "
        "`strict-origin-when-cross-origin`, or `allow-same-origin` for its frame.",
    ),
    "not_found": Cure(
        "Nothing is under this address, or the account has no integration of this name here.",
        "Check the address, or the name against `ZIS_INTEGRATIONS`.",
    ),
    "job_spec_not_found": Cure(
        "Zendesk lists no such job spec, calls it invalid, or the qualified name is another account's integration's.",
        "List again. A job spec appears once a bundle that contains it has been uploaded.",
    ),
    "method_not_allowed": Cure(
        "The address exists and does not take this method.",
        "The header `Allow` names those it takes.",
    ),
    "authorization_required": Cure(
        "The account is not connected, or its grant is dead: revoked, expired, or lost in a refresh whose answer never "
        "came. `status` gives the reason.",
        "An admin opens `authorize_url` and presses Allow.",
    ),
    "account_gone": Cure(
        'Zendesk answers "No help desk" on every path of this address: the account was renamed or closed. Zendesk '
        "redirects nothing after a rename, and anybody may take the old name.",
        "If it was renamed: the operator adds the new name to `ZENDESK_SUBDOMAINS`, an admin connects it under that "
        "name, and `flask --app service disconnect OLD --force` forgets the old one. Do not connect the old name.",
    ),
    "integration_mismatch": Cure(
        "Zendesk says that the token is not this integration's, or that the integration is not registered. Names are "
        "case-sensitive and unique over all of Zendesk.",
        "Compare `ZIS_INTEGRATIONS` with the integration's name in Zendesk. A registration that failed shows "
        "itself only here.",
    ),
    "payload_too_large": Cure(
        "The request's body is over 64 KiB; for `plan` and `apply`, over 1 MiB.",
        "Split the document of desired state by integration; no other call needs a large body.",
    ),
    "zis_rejected": Cure(
        "Zendesk refused the operation; `upstream_detail` has its words.",
        "Do what the words say. A 403 without further words often means that the account's plan has no "
        "integration services.",
    ),
    "rate_limited": Cure(
        "Zendesk's limit (`upstream_status` is 429), or this service's own: 60 changes and 60 lists with `no-cache` a "
        "minute and person; 300 requests that connect, 10 failed exchanges of a code, and 300 refused requests, "
        "a minute and address. With `retry_after` 1: as many requests of the account wait for Zendesk as may, or 16 "
        "bodies of the address are still on their way.",
        "Wait for `retry_after` seconds.",
    ),
    "client_misconfigured": Cure(
        "Zendesk refuses this service's own OAuth client: wrong identifier or secret. Stored grants are kept.",
        "The operator corrects `ZENDESK_CLIENT_ID` (the text identifier, not the number) and `ZENDESK_CLIENT_SECRET`.",
    ),
    "internal_error": Cure(
        "Something unforeseen. Its trace is in the service's log under the request id.",
        "Try again; if it persists, pass the request id on to the operator.",
    ),
    "zendesk_unavailable": Cure(
        "Zendesk was not reached, failed (5xx), redirected or sent what cannot be read; or something in front of it "
        "(a firewall, a proxy, an IP restriction) answered with a page, whatever its status: nothing is concluded "
        "from that. Or it refuses even a new access token (401).",
        "Try again in a minute. If pages keep coming, look at the network and the account's IP restrictions. After a "
        "change, look at the list: it may have taken effect.",
    ),
    "store_unavailable": Cure(
        "Redis was not reached, or does not take what must be kept: it is full or read-only. Nothing is lost by that.",
        "The operator looks after Redis. Nothing has to be connected again.",
    ),
    "zendesk_timeout": Cure(
        "Zendesk did not answer within the time a request has (25 seconds in all), or the account has been slow "
        "lately.",
        "Try again in a minute. After a change, look at the list: it may have taken effect.",
    ),
}
