"""Builds the collaborators once and registers the blueprints. Opens no connection."""

import os
import time

from flask import Flask
from redis import Redis
from werkzeug.middleware.proxy_fix import ProxyFix

from service.activity import Activity
from service.alerts import Alerts
from service.answers import protection, register_answers
from service.bodies import Bodies
from service.executor import Executor
from service.files import serving
from service.files.collection import Collection
from service.files.serving import FileServer
from service.job_specs import desired_state_routes
from service.job_specs import routes as job_spec_routes
from service.job_specs.bundles import Bundles
from service.job_specs.changes import Changes
from service.job_specs.listing import Listing
from service.job_specs.rearmed import Rearmed
from service.job_specs.reconciling import Reconciler
from service.lookers import Lookers
from service.oauth import claim_routes
from service.oauth import routes as oauth_routes
from service.oauth.access_tokens import AccessTokens
from service.oauth.authorization_server import AuthorizationServer
from service.oauth.claims import Claims
from service.oauth.conditions import Conditions
from service.oauth.grants import Grants
from service.oauth.handshake import Handshake
from service.oauth.minting import Minting
from service.oauth.revocation import Revocation
from service.oauth.sign_in import SignIn
from service.oauth.states import States
from service.oauth.turns import Turns
from service.oauth.unsaved import UnsavedPairs
from service.oauth.upkeep import Upkeep
from service.oauth.zis_tokens import ZISTokens
from service.operations import health, pages, scrape
from service.operations.api_description import routes as api_description_routes
from service.operations.commands import register_commands
from service.operations.connected_accounts import ConnectedAccounts
from service.operations.health import Release
from service.operations.logs import configure_logs
from service.operations.sealed_records import SealedRecords
from service.page import console
from service.page import routes as page_routes
from service.page.at_hand import AtHand
from service.rate_limits import RateLimits
from service.settings import Settings
from service.sidebar import account_routes
from service.sidebar import routes as sidebar_routes
from service.sidebar.app_keys import AppKeys
from service.sidebar.connection import Connection
from service.sidebar.machine_tokens import MachineTokens
from service.sidebar.managers import Managers
from service.sidebar.sessions import Sessions
from service.sidebar.zaf_jwt import ZAFTokens
from service.store import Store
from service.vault import Vault
from service.web import request_id_if_any, set_collaborators
from service.zendesk.bulkhead import Bulkhead
from service.zendesk.calls import ZendeskCalls
from service.zendesk.transport import ZendeskAdapter
from service.zis_registry import Registry


def create_app(settings: Settings | None = None, *, redis: "Redis | None" = None) -> Flask:
    """Return the application; `settings` None: from the environment, `redis` None: as the settings say.

    Raises:
        SettingsError: the environment does not describe a working service.
    """
    settings = Settings.from_env(os.environ) if settings is None else settings
    configure_logs(settings.log_format)
    # Its files are answered for before Flask is asked.
    app = Flask("service", static_folder=None)
    # A redirect that mends an address would be built from the request's Host.
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.json.sort_keys = False  # type: ignore[attr-defined]  # Flask's default provider has it
    collection = Collection(watches=app.debug)
    app.jinja_env.globals["static"] = lambda name: collection.now().address(name)
    app.wsgi_app = FileServer(app.wsgi_app, collection, settings, protection(None, settings.is_secure))  # type: ignore[method-assign]  # as Flask documents
    proxies = settings.trusted_proxies
    if proxies:
        # The router sets no X-Forwarded-Host, so a client's would be believed.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0, x_port=0, x_prefix=0)  # type: ignore[method-assign]  # as Werkzeug documents
    _assemble(app, settings, Store.from_settings(settings) if redis is None else Store(redis), collection)
    for blueprint in (
        pages.blueprint,
        serving.blueprint,
        health.blueprint,
        api_description_routes.blueprint,
        oauth_routes.blueprint,
        page_routes.blueprint,
        console.blueprint,
        sidebar_routes.renewal,
        claim_routes.blueprint,
        account_routes.blueprint,
        job_spec_routes.blueprint,
        desired_state_routes.blueprint,
    ):
        app.register_blueprint(blueprint)
    if settings.metrics_token is not None:
        app.register_blueprint(scrape.blueprint)
    register_answers(app)
    register_commands(app)
    return app


def _assemble(app: Flask, settings: Settings, store: Store, collection: Collection) -> None:
    """Build what does the work, from the bottom up, and hand it to the views."""
    clock = time.time
    vault = Vault(settings.secret_keys)
    lookers = Lookers(store, vault, clock)
    activity = Activity(store, vault, clock, request_id_if_any)
    machine_tokens = MachineTokens(settings.secret_keys, store, vault, clock)
    adapter = ZendeskAdapter(settings.outbound_proxy, settings.zendesk_ca_file)
    bulkhead, executor = Bulkhead(), Executor()
    calls = ZendeskCalls(settings, adapter)
    turns = Turns(store, executor)
    registry = Registry(calls)
    grants = Grants(store, vault, clock)
    alerts = Alerts(settings, store, grants.is_stored, clock)
    conditions = Conditions(settings, store, alerts, clock)
    server = AuthorizationServer(settings, calls, adapter, clock)
    unsaved = UnsavedPairs(executor)
    revocation = Revocation(settings, calls, registry, unsaved)
    states = States(store, vault)
    minting = Minting(settings, calls, clock)
    access_tokens = AccessTokens(
        store=store,
        grants=grants,
        server=server,
        conditions=conditions,
        revoke=revocation.drop,
        unsaved=unsaved,
        turns=turns,
        activity=activity,
        clock=clock,
    )
    zis_tokens = ZISTokens(
        settings=settings,
        grants=grants,
        access_tokens=access_tokens,
        minting=minting,
        revocation=revocation,
        conditions=conditions,
        turns=turns,
        clock=clock,
    )
    handshake = Handshake(
        settings=settings,
        store=store,
        states=states,
        server=server,
        grants=grants,
        access_tokens=access_tokens,
        zis_tokens=zis_tokens,
        minting=minting,
        revocation=revocation,
        conditions=conditions,
        calls=calls,
        registry=registry,
        activity=activity,
        lookers=lookers,
    )
    sessions = Sessions(settings, clock)
    claims = Claims(store, vault, clock)
    sign_in = SignIn(
        settings=settings,
        states=states,
        server=server,
        claims=claims,
        revocation=revocation,
        zis_tokens=zis_tokens,
        calls=calls,
        session_of=sessions.signed_in,
        clock=clock,
    )
    bundles = Bundles(store, registry, zis_tokens, executor)
    listing = Listing(
        conditions=conditions,
        bundles=bundles,
        settings=settings,
        store=store,
        registry=registry,
        zis_tokens=zis_tokens,
        turns=turns,
        bulkhead=bulkhead,
        executor=executor,
    )
    changes = Changes(
        settings=settings,
        store=store,
        registry=registry,
        zis_tokens=zis_tokens,
        listing=listing,
        activity=activity,
        executor=executor,
    )
    reconciler = Reconciler(
        settings=settings, store=store, listing=listing, changes=changes, bundles=bundles, activity=activity
    )
    managers = Managers(settings, store, vault, calls, bulkhead, zis_tokens, lookers, executor, clock)
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
        calls=calls,
        activity=activity,
        uninstall_all=changes.uninstall_all,
    )
    set_collaborators(
        app,
        settings,
        store,
        activity,
        alerts,
        lookers,
        bulkhead,
        executor,
        grants,
        conditions,
        states,
        access_tokens,
        handshake,
        listing,
        bundles,
        changes,
        reconciler,
        Rearmed(store, vault),
        managers,
        connection,
        collection,
        AtHand(settings, store, managers, connection, listing),
        vault,
        calls,
        registry,
        minting,
        zis_tokens,
        app_keys,
        ConnectedAccounts(settings, store, vault, grants, conditions),
        machine_tokens,
        SealedRecords(store, vault, grants, activity, lookers, machine_tokens),
        Upkeep(store, grants, conditions, access_tokens, clock),
        sessions,
        claims,
        sign_in,
        ZAFTokens(settings, app_keys, clock),
        limits,
        Bodies(),
        Release.current(),
    )
