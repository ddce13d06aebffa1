"""The collaborators: what does the work, built once, by name. Opens no connection."""

import time
from dataclasses import dataclass

from service.account.status import Connection
from service.connecting.handshake import Handshake
from service.connecting.sign_in import SignIn
from service.connecting.states import States
from service.grants.access_tokens import AccessTokens
from service.grants.alerts import Alerts
from service.grants.clients import Clients
from service.grants.conditions import Conditions
from service.grants.grants import Grants
from service.grants.leases import Leases
from service.grants.pending_pairs import PendingPairs
from service.grants.refreshing import Refreshing
from service.grants.revocation import Revocation
from service.grants.upkeep import Upkeep
from service.grants.zis_tokens import Mint
from service.ground.executor import Executor
from service.ground.settings import Settings
from service.job_specs.bundles import Bundles
from service.job_specs.changes import Changes
from service.job_specs.listing import Listing
from service.job_specs.rearmed import Rearmed
from service.job_specs.reconciling import Reconciler
from service.operations.connected_accounts import ConnectedAccounts
from service.operations.sealed_records import SealedRecords
from service.people.app_keys import AppKeys
from service.people.claims import Claims
from service.people.machine_tokens import MachineTokens
from service.people.roles import Roles
from service.people.sessions import Sessions
from service.people.zaf_jwt import ZAFTokens
from service.server.health import Release
from service.sidebar.at_hand import AtHand
from service.sidebar.files.collection import Collection
from service.store.activity import Activity
from service.store.lookers import Lookers
from service.store.store import Store
from service.store.vault import Vault
from service.web.bodies import Bodies
from service.web.rate_limits import RateLimits
from service.web.request import request_id_if_any
from service.zendesk.authorization_server import AuthorizationServer
from service.zendesk.bulkhead import Bulkhead
from service.zendesk.calls import ZendeskCalls
from service.zendesk.transport import ZendeskAdapter


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """One of each, for the views and commands of one application."""

    settings: Settings
    store: Store
    vault: Vault
    activity: Activity
    alerts: Alerts
    lookers: Lookers
    executor: Executor
    bulkhead: Bulkhead
    rate_limits: RateLimits
    bodies: Bodies
    calls: ZendeskCalls
    grants: Grants
    conditions: Conditions
    access_tokens: AccessTokens
    clients: Clients
    states: States
    handshake: Handshake
    claims: Claims
    sign_in: SignIn
    upkeep: Upkeep
    sessions: Sessions
    machine_tokens: MachineTokens
    app_keys: AppKeys
    zaf_tokens: ZAFTokens
    roles: Roles
    connection: Connection
    listing: Listing
    bundles: Bundles
    changes: Changes
    reconciler: Reconciler
    rearmed: Rearmed
    collection: Collection
    at_hand: AtHand
    connected_accounts: ConnectedAccounts
    sealed_records: SealedRecords
    release: Release


def build_services(settings: Settings, store: Store, collection: Collection) -> Services:
    """Build what does the work, from the bottom up."""
    clock = time.time
    vault = Vault(settings.secret_keys)
    lookers = Lookers(store, vault, clock)
    activity = Activity(store, vault, clock, request_id_if_any)
    machine_tokens = MachineTokens(settings.secret_keys, store, vault, clock)
    adapter = ZendeskAdapter(settings.outbound_proxy, settings.zendesk_ca_file)
    bulkhead, executor = Bulkhead(), Executor()
    calls = ZendeskCalls(settings, adapter)
    leases = Leases(store, executor)
    grants = Grants(store, vault, clock)
    alerts = Alerts(settings, store, grants.is_stored, clock)
    conditions = Conditions(settings, store, grants, alerts, clock)
    server = AuthorizationServer(settings, calls, adapter, clock)
    pending_pairs = PendingPairs(executor)
    revocation = Revocation(settings, calls, pending_pairs)
    states = States(store, vault)
    refreshing = Refreshing(
        store=store,
        grants=grants,
        server=server,
        conditions=conditions,
        revocation=revocation,
        pending_pairs=pending_pairs,
        activity=activity,
        clock=clock,
    )
    access_tokens = AccessTokens(
        refreshing=refreshing,
        server=server,
        conditions=conditions,
        revocation=revocation,
        leases=leases,
        clock=clock,
    )
    mint = Mint(
        calls=calls,
        grants=grants,
        access_tokens=access_tokens,
        revocation=revocation,
        conditions=conditions,
        leases=leases,
        scopes=settings.zendesk_scope.split(),
        clock=clock,
    )
    clients = Clients(calls, access_tokens, mint, is_direct=settings.is_direct)
    handshake = Handshake(
        settings=settings,
        store=store,
        states=states,
        server=server,
        grants=grants,
        access_tokens=access_tokens,
        clients=clients,
        revocation=revocation,
        conditions=conditions,
        activity=activity,
        lookers=lookers,
        clock=clock,
    )
    sessions = Sessions(settings, clock)
    claims = Claims(store, vault, clock)
    sign_in = SignIn(
        settings=settings,
        states=states,
        server=server,
        claims=claims,
        revocation=revocation,
        clients=clients,
        session_of=sessions.signed_in,
        clock=clock,
    )
    bundles = Bundles(store, clients, executor)
    listing = Listing(
        conditions=conditions,
        bundles=bundles,
        settings=settings,
        store=store,
        clients=clients,
        leases=leases,
        bulkhead=bulkhead,
        executor=executor,
    )
    changes = Changes(
        settings=settings,
        store=store,
        clients=clients,
        listing=listing,
        activity=activity,
        executor=executor,
    )
    reconciler = Reconciler(
        settings=settings, store=store, listing=listing, changes=changes, bundles=bundles, activity=activity
    )
    roles = Roles(settings, store, vault, bulkhead, access_tokens, clients, lookers, executor, clock)
    limits = RateLimits(settings, store)
    app_keys = AppKeys(settings, store, vault, calls, bulkhead, limits, clock)
    connection = Connection(
        settings=settings,
        store=store,
        grants=grants,
        conditions=conditions,
        roles=roles,
        lookers=lookers,
        access_tokens=access_tokens,
        revocation=revocation,
        clients=clients,
        activity=activity,
        uninstall_all=changes.uninstall_all,
    )
    return Services(
        settings=settings,
        store=store,
        vault=vault,
        activity=activity,
        alerts=alerts,
        lookers=lookers,
        executor=executor,
        bulkhead=bulkhead,
        rate_limits=limits,
        bodies=Bodies(),
        calls=calls,
        grants=grants,
        conditions=conditions,
        access_tokens=access_tokens,
        clients=clients,
        states=states,
        handshake=handshake,
        claims=claims,
        sign_in=sign_in,
        upkeep=Upkeep(store, grants, conditions, access_tokens, clock),
        sessions=sessions,
        machine_tokens=machine_tokens,
        app_keys=app_keys,
        zaf_tokens=ZAFTokens(settings, app_keys, clock),
        roles=roles,
        connection=connection,
        listing=listing,
        bundles=bundles,
        changes=changes,
        reconciler=reconciler,
        rearmed=Rearmed(store, vault),
        collection=collection,
        at_hand=AtHand(settings, store, roles, connection, listing),
        connected_accounts=ConnectedAccounts(settings, store, vault, grants, conditions),
        sealed_records=SealedRecords(store, vault, grants, activity, lookers, machine_tokens),
        release=Release.current(),
    )
