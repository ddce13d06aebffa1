"""The world at the start: three accounts, their people, clients and integrations. All names are invented."""

from collections.abc import Sequence

from sandbox.simulator.accounts import Account, secret_of
from sandbox.simulator.integrations import JobSpec

CLIENT_ID = "job_specs_sidebar"
"""The ordinary OAuth client, on every account; its tokens mint."""
CLIENT_SECRET = secret_of(CLIENT_ID)
APP_ID = 500001
# Enough other clients that the ones looked for stand on the second page of a hundred.
OTHER_CLIENTS_OF_ACME = 120

TICKET_CREATED = "ticket.TicketCreated"
COMMENT_ADDED = "ticket.CommentAdded"
FIELD_CHANGED = "ticket.CustomFieldChanged"
RECORD_CREATED = "customobject.CustomObjectRecordCreated"
_EVENTS = (TICKET_CREATED, COMMENT_ADDED, FIELD_CHANGED, RECORD_CREATED)

# Name, event type, description, installed.
_Row = tuple[str, str, str, bool]
# Two integrations of acme hold this name.
SHARED_NAME = "notify_warehouse"

_ORDERS: Sequence[_Row] = (
    (
        "open_order_for_ticket",
        TICKET_CREATED,
        "Opens an order for every new ticket that carries an order number.",
        True,
    ),
    ("copy_public_comment", COMMENT_ADDED, "Copies public comments to the order's history.", True),
    ("order_number_changed", FIELD_CHANGED, "Links the ticket to another order when its number is edited.", False),
    ("refund_record_created", RECORD_CREATED, "Tells accounting about every new refund record.", False),
    (SHARED_NAME, FIELD_CHANGED, "Tells the warehouse when an order is cancelled or released.", True),
    (
        "escalate_vip_order",
        TICKET_CREATED,
        "Raises the priority of tickets from customers with a service contract.",
        False,
    ),
)
_SHIPPING: Sequence[_Row] = (
    ("track_parcel", FIELD_CHANGED, "Starts tracking when a tracking number is entered.", True),
    ("parcel_delayed", RECORD_CREATED, "Comments on the ticket when a parcel is late.", False),
    (SHARED_NAME, COMMENT_ADDED, "Passes an internal note tagged #warehouse on to the warehouse.", False),
    ("send_return_label", TICKET_CREATED, "Sends a return label for tickets of the form Returns.", False),
)


def default_accounts() -> dict[str, Account]:
    """Return the accounts by subdomain, in the order the workspace shows them."""
    return {account.subdomain: account for account in (_acme(), _globex(), _initech())}


def _acme() -> Account:
    acme = Account("acme", 1001, 600001)
    acme.add_user(101, "Ada Morgan", "admin")
    acme.add_user(102, "Ben Okafor", "agent")
    acme.add_user(103, "Carla Reyes", "end-user")
    acme.add_user(104, "Dan Novak", "agent", suspended=True)
    acme.add_user(105, "Eve Lindqvist", "admin")
    acme.add_client(CLIENT_ID, "ZIS job specs sidebar")
    for number in range(1, OTHER_CLIENTS_OF_ACME + 1):
        acme.add_client(f"partner_app_{number:03}", f"Partner app {number}")
    _add(acme, "acme_orders", "Keeps tickets and orders in step.", _ORDERS)
    _add(acme, "acme_shipping", "Parcels, labels and returns.", _SHIPPING)
    _add(acme, "acme_archive", "One rule for every archived form.", _archive_rows(250))
    return acme


def _globex() -> Account:
    globex = Account("globex", 1002, 600002)
    globex.add_user(201, "Finn Baker", "admin")
    globex.add_user(202, "Gita Rao", "agent")
    globex.add_client(CLIENT_ID, "ZIS job specs sidebar")
    _add(globex, "globex_orders", "Keeps tickets and orders in step.", _ORDERS[:5])
    _add(globex, "globex_shipping", "Parcels, labels and returns.", [row for row in _SHIPPING if row[0] != SHARED_NAME])
    _add(globex, "globex_archive", "One rule for every archived form.", _archive_rows(30))
    return globex


def _initech() -> Account:
    initech = Account("initech", 1003, 600003)
    initech.add_user(301, "Hana Sato", "admin")
    initech.add_client(CLIENT_ID, "ZIS job specs sidebar")
    return initech


def _archive_rows(count: int) -> list[_Row]:
    return [
        (f"archive_form_{number:03}", _EVENTS[number % 4], f"Archives tickets of form {number}.", number % 5 == 0)
        for number in range(1, count + 1)
    ]


def _add(account: Account, name: str, description: str, rows: Sequence[_Row]) -> None:
    integration = account.add_integration(name, description)
    integration.job_specs = [
        JobSpec(name, spec, text, event_type, f"{spec}_flow", installed=installed)
        for spec, event_type, text, installed in rows
    ]
