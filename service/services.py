"""The collaborators: what does the work, built once, by name. Opens no connection."""

import time
from dataclasses import dataclass

from service.activity import Activity
from service.alerts import Alerts
from service.bodies import Bodies
from service.executor import Executor
from service.files.collection import Collection
from service.job_specs.bundles import Bundles
from service.job_specs.changes import Changes
from service.job_specs.listing import Listing
from service.job_specs.rearmed import Rearmed
from service.job_specs.reconciling import Reconciler
from service.lookers import Lookers
from service.oauth.access_tokens import AccessTokens
from service.oauth.authorization_server import AuthorizationServer
from service.oauth.claims import Claims
from service.oauth.clients import Clients
from service.oauth.conditions import Conditions
from service.oauth.grants import Grants
from service.oauth.handshake import Handshake
from service.oauth.refreshing import Refreshing
from service.oauth.revocation import Revocation
from service.oauth.sign_in import SignIn
from service.oauth.states import States
from service.oauth.turns import Turns
from service.oauth.unsaved import UnsavedPairs
from service.oauth.upkeep import Upkeep
from service.oauth.zis_tokens import Mint
from service.operations.connected_accounts import ConnectedAccounts
from service.operations.health import Release
from service.operations.sealed_records import SealedRecords
from service.page.at_hand import AtHand
from service.rate_limits import RateLimits
from service.settings import Settings
from service.sidebar.app_keys import AppKeys
from service.sidebar.connection import Connection
from service.sidebar.machine_tokens import MachineTokens
from service.sidebar.managers import Managers
from service.sidebar.sessions import Sessions
from service.sidebar.zaf_jwt import ZAFTokens
from service.store import Store
from service.vault import Vault
from service.web import request_id_if_any
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
    managers: Managers
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
    turns = Turns(store, executor)
    grants = Grants(store, vault, clock)
    alerts = Alerts(settings, store, grants.is_stored, clock)
    conditions = Conditions(settings, store, grants, alerts, clock)
    server = AuthorizationServer(settings, calls, adapter, clock)
    unsaved = UnsavedPairs(executor)
    revocation = Revocation(settings, calls, unsaved)
    states = States(store, vault)
    refreshing = Refreshing(
        store=store,
        grants=grants,
        server=server,
        conditions=conditions,
        revocation=revocation,
        unsaved=unsaved,
        activity=activity,
        clock=clock,
    )
    access_tokens = AccessTokens(
        refreshing=refreshing,
        server=server,
        conditions=conditions,
        revocation=revocation,
        turns=turns,
        clock=clock,
    )
    mint = Mint(
        calls=calls,
        grants=grants,
        access_tokens=access_tokens,
        revocation=revocation,
        conditions=conditions,
        turns=turns,
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
        turns=turns,
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
    managers = Managers(settings, store, vault, bulkhead, access_tokens, clients, lookers, executor, clock)
    limits = RateLimits(settings, store)
    app_keys = AppKeys(settings, store, vault, calls, bulkhead, limits, clock)
    connection = Connection(
        settings=settings,
        store=store,
        grants=grants,
        conditions=conditions,
        managers=managers,
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
        managers=managers,
        connection=connection,
        listing=listing,
        bundles=bundles,
        changes=changes,
        reconciler=reconciler,
        rearmed=Rearmed(store, vault),
        collection=collection,
        at_hand=AtHand(settings, store, managers, connection, listing),
        connected_accounts=ConnectedAccounts(settings, store, vault, grants, conditions),
        sealed_records=SealedRecords(store, vault, grants, activity, lookers, machine_tokens),
        release=Release.current(),
    )
