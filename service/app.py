"""Makes the application: its settings, its collaborators, its blueprints. Opens no connection."""

import os

from flask import Flask
from redis import Redis
from werkzeug.middleware.proxy_fix import ProxyFix

from service.account import routes as account_routes
from service.connecting import claim_routes
from service.connecting import routes as oauth_routes
from service.ground.settings import Settings
from service.job_specs import desired_state_routes
from service.job_specs import routes as job_spec_routes
from service.job_specs.desired_state import LARGEST_DOCUMENT_BYTES
from service.operations import pages
from service.operations.api_description import routes as api_description_routes
from service.operations.commands import register_commands
from service.people import session_routes as sidebar_routes
from service.people.guard import require_caller
from service.server import health, scrape
from service.server.logs import configure_logs
from service.services import build_services
from service.sidebar import console
from service.sidebar import routes as page_routes
from service.sidebar.files import serving
from service.sidebar.files.collection import Collection
from service.sidebar.files.serving import FileServer
from service.store.store import Store
from service.web.answers import EndpointRules, LargeBody, protection, register_answers
from service.web.request import set_services


def load_ahead() -> None:
    """Read and compress the pages' files: every application of this process and of those forked from it shares them."""
    Collection().now()


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
    store = Store.from_settings(settings) if redis is None else Store(redis)
    set_services(app, build_services(settings, store, collection))
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
    document = LargeBody(LARGEST_DOCUMENT_BYTES, require_caller)
    rules = EndpointRules(
        large_bodies={"desired_state.plan": document, "desired_state.apply": document},
        failure_pages={"oauth.callback": oauth_routes.failure_page},
    )
    register_answers(app, rules)
    register_commands(app)
    return app
