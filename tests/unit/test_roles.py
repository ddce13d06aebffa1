"""Who may manage and who may look, given Zendesk's answer about a person, its age and the settings."""

import json
from dataclasses import replace
from typing import Any

import pytest

from service.ground.errors import ZendeskUnavailable
from service.people.role import Role, Rules, deciding, showing
from service.zendesk.replies import Reply
from service.zendesk.users import ZendeskUser

NOW = 1_800_000_000.0
ADMINS = frozenset({"admin"})
AGENTS = frozenset({"admin", "agent"})


def user(**members: Any) -> ZendeskUser:
    """Return a user as Zendesk describes it; a full agent unless said otherwise."""
    described = {"id": 7, "name": "Ada", "role": "agent", "restricted_agent": False, **members}
    return ZendeskUser.from_reply(Reply(200, {}, json.dumps({"user": described}).encode()))


def role(**members: Any) -> Role:
    return Role.of(user(**members), NOW)


ADMIN = role(role="admin")
AGENT = role()
LIGHT_AGENT = role(role_type=1)
END_USER = role(role="end-user")
SUSPENDED = role(role="admin", suspended=True)
DELETED = role(role="admin", active=False)
NOBODY = Role(None, None, is_active=False, asked_at=NOW, is_missing=True)
UNREADABLE = Role(None, None, is_active=True, asked_at=NOW)
# As a release kept it that did not look at what kind of agent it is.
AGENT_OF_OLD = replace(AGENT, is_full_agent=None)


@pytest.mark.parametrize(
    ("kind", "is_full"),
    [
        ({}, True),
        ({"role_type": None, "custom_role_id": None}, True),
        ({"role_type": 0, "custom_role_id": 9}, True),
        ({"role_type": 0, "custom_role_id": 9, "restricted_agent": True}, False),
        ({"role_type": 0, "custom_role_id": 9, "restricted_agent": None}, False),
        ({"custom_role_id": 9}, False),
        ({"restricted_agent": True}, False),
        ({"restricted_agent": None}, False),
        ({"restricted_agent": "false"}, False),
        ({"restricted_agent": 0}, False),
        ({"role_type": 1}, False),
        ({"role_type": 2}, False),
        ({"role_type": 3}, False),
        ({"role_type": 5}, False),
        ({"role_type": 77}, False),
        ({"role_type": "0"}, False),
        ({"role_type": False}, False),
        ({"role_type": 0.0}, False),
        ({"role": "admin"}, False),
        ({"role": "end-user"}, False),
    ],
    ids=str,
)
def test_an_agent_without_restrictions_is_a_full_one_and_a_kind_nobody_knows_is_none(
    kind: dict[str, Any], is_full: bool
) -> None:
    assert user(**kind).is_full_agent is is_full


@pytest.mark.parametrize(
    "members",
    [{"role": None}, {"role": 7}, {"id": "seven"}, {"suspended": "perhaps"}, {"active": None}, {"name": 7}],
    ids=str,
)
def test_a_user_whose_role_or_state_cannot_be_read_is_no_answer(members: dict[str, Any]) -> None:
    with pytest.raises(ZendeskUnavailable):
        user(**members)


@pytest.mark.parametrize(
    ("url", "account"),
    [
        ("https://acme.zendesk.com/api/v2/users/7.json", "acme"),
        ("https://ACME.zendesk.com/", "acme"),
        ("https://acme.zendesk.com.evil.example/", None),
        ("https://evil.example/acme.zendesk.com", None),
        ("https://a.b.zendesk.com/", None),
        ("https://.zendesk.com/", None),
        ("http://[", None),
        ("//", None),
        ("", None),
        (None, None),
    ],
)
def test_a_users_account_is_the_host_of_its_address(url: str | None, account: str | None) -> None:
    assert user(url=url).account == account


# --- who may manage ---


@pytest.mark.parametrize(
    ("answer", "roles", "is_named", "may", "words"),
    [
        (ADMIN, ADMINS, False, True, None),
        (AGENT, ADMINS, False, False, "Only admins may change"),
        (AGENT, AGENTS, False, True, None),
        (AGENT, ADMINS, True, True, None),
        (ADMIN, frozenset({"agent"}), False, False, ""),
        (LIGHT_AGENT, AGENTS, False, False, "light agent"),
        (LIGHT_AGENT, AGENTS, True, True, None),
        (AGENT_OF_OLD, AGENTS, False, False, "light agent"),
        # Whoever is outside may nothing, whatever list they are on.
        (END_USER, AGENTS, False, False, "you are an end user"),
        (END_USER, AGENTS, True, False, "you are an end user"),
        (SUSPENDED, AGENTS, False, False, "you are a suspended admin"),
        (SUSPENDED, AGENTS, True, False, "you are a suspended admin"),
        (DELETED, AGENTS, True, False, "you are a deleted admin"),
        (role(suspended=True), AGENTS, True, False, "you are a suspended agent"),
        (NOBODY, AGENTS, False, False, "nobody of your user id"),
        (NOBODY, AGENTS, True, False, "nobody of your user id"),
        (role(role="end-user"), frozenset({"end-user"}), True, False, "you are an end user"),
        (role(role="owner"), frozenset({"owner"}), True, False, "you are an owner"),
    ],
)
def test_a_person_may_manage_by_role_or_name_and_is_told_why_not(
    answer: Role, roles: frozenset[str], is_named: bool, may: bool, words: str | None
) -> None:
    standing = Rules(roles, is_named).standing(answer)
    assert standing.can_manage is may
    if words is None:
        assert standing.why_no_manager is None
    else:
        assert words in (standing.why_no_manager or "")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (ADMIN, None),
        (AGENT, None),
        (LIGHT_AGENT, None),
        (AGENT_OF_OLD, None),
        (UNREADABLE, None),
        (END_USER, "change your role"),
        (SUSPENDED, "end the suspension"),
        (role(role="end-user", suspended=True), "a suspended end user"),
        (DELETED, "add you to it again"),
        (NOBODY, "nobody of your user id"),
    ],
)
@pytest.mark.parametrize("is_named", [True, False])
def test_whoever_is_not_known_to_be_outside_may_look(answer: Role, words: str | None, is_named: bool) -> None:
    why = Rules(ADMINS, is_named).standing(answer).why_outside
    if words is None:
        assert why is None
    else:
        assert words in (why or "")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(ADMIN, None), (END_USER, None), (UNREADABLE, "users_not_readable"), (NOBODY, "user_unknown")],
)
def test_why_a_role_is_not_known_is_said(answer: Role, reason: str | None) -> None:
    standing = Rules(ADMINS, is_named=False).standing(answer)
    assert (standing.role, standing.reason) == (answer.role, reason)


@pytest.mark.parametrize(
    ("reason", "is_named", "may"),
    [
        ("users_not_readable", False, False),
        ("users_not_readable", True, True),
        ("not_connected", True, True),
        ("not_connected", False, False),
        ("user_unknown", False, False),
        # They may have been suspended.
        ("zendesk_unavailable", True, False),
        ("zendesk_unavailable", False, False),
    ],
)
def test_of_whom_nothing_is_known_only_a_named_manager_may_manage_and_none_while_zendesk_is_away(
    reason: str, is_named: bool, may: bool
) -> None:
    standing = Rules(AGENTS, is_named).unknown(reason)
    assert (standing.can_manage, standing.role, standing.reason) == (may, None, reason)
    assert standing.why_outside is None


# --- how old an answer may be ---


@pytest.mark.parametrize(
    ("answer", "age", "roles", "is_named", "may"),
    [
        (ADMIN, 0, ADMINS, False, True),
        (ADMIN, 300, ADMINS, False, True),
        (ADMIN, 301, ADMINS, False, False),
        (ADMIN, 301, ADMINS, True, False),
        (AGENT, 299, ADMINS, False, True),
        (END_USER, 299, ADMINS, False, True),
        (NOBODY, 299, ADMINS, False, True),
        (NOBODY, 301, ADMINS, False, False),
        # It may have been a passing refusal, which would keep an admin out; a named manager it keeps in.
        (UNREADABLE, 1, ADMINS, False, False),
        (UNREADABLE, 1, ADMINS, True, True),
        # What kind of agent it is matters only where agents may manage.
        (AGENT_OF_OLD, 1, AGENTS, False, False),
        (AGENT_OF_OLD, 1, ADMINS, False, True),
        (LIGHT_AGENT, 1, AGENTS, False, True),
    ],
)
def test_an_answer_of_five_minutes_decides_about_a_change_if_it_says_enough(
    answer: Role, age: float, roles: frozenset[str], is_named: bool, may: bool
) -> None:
    assert Rules(roles, is_named).may_decide(answer, NOW + age) is may


@pytest.mark.parametrize(
    ("age", "is_recent", "is_remembered"),
    [(0, True, True), (300, True, True), (300.1, False, True), (43_200, False, True), (43_200.1, False, False)],
)
def test_an_answer_is_recent_for_five_minutes_and_remembered_for_twelve_hours(
    age: float, is_recent: bool, is_remembered: bool
) -> None:
    assert (ADMIN.is_recent(NOW + age), ADMIN.is_remembered(NOW + age)) == (is_recent, is_remembered)


@pytest.mark.parametrize(
    ("answer", "ahead", "is_recent", "is_remembered"),
    [
        (ADMIN, 5, True, True),
        (ADMIN, 5.1, False, False),
        (ADMIN, 600, False, False),
        (UNREADABLE, 600, False, False),
        # What keeps a person out is not forgotten for a clock.
        (SUSPENDED, 600, False, True),
        (END_USER, 600, False, True),
        (NOBODY, 600, False, True),
    ],
)
def test_an_answer_that_a_clock_ahead_has_stamped_lets_nobody_in(
    answer: Role, ahead: float, is_recent: bool, is_remembered: bool
) -> None:
    assert (answer.is_recent(NOW - ahead), answer.is_remembered(NOW - ahead)) == (is_recent, is_remembered)


@pytest.mark.parametrize(
    ("answer", "last", "decides", "shows"),
    [
        (ADMIN, None, ADMIN, ADMIN),
        (ADMIN, SUSPENDED, ADMIN, ADMIN),
        (SUSPENDED, ADMIN, SUSPENDED, SUSPENDED),
        (NOBODY, ADMIN, NOBODY, NOBODY),
        (UNREADABLE, None, UNREADABLE, UNREADABLE),
        # A refusal to say takes nothing back that keeps out, and lets nobody change anything by an old answer.
        (UNREADABLE, SUSPENDED, SUSPENDED, SUSPENDED),
        (UNREADABLE, NOBODY, NOBODY, NOBODY),
        (UNREADABLE, ADMIN, UNREADABLE, ADMIN),
    ],
)
def test_a_refusal_to_say_takes_nothing_back_of_what_was_said(
    answer: Role, last: Role | None, decides: Role, shows: Role
) -> None:
    assert deciding(answer, last) is decides
    assert showing(answer, last) is shows
