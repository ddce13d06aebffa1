"""Holds a Zendesk OAuth grant well, and lists, installs and uninstalls ZIS job specs for a sidebar app.

The rooms, top first; imports point down:

wsgi, gunicorn_config   what gunicorn reads
gunicorn_worker         the threads that serve requests, and which connection holds one
app                     makes the application, registers blueprints
services                the collaborators, built once, by name
answers                 what every request begins with and every answer carries; error pages, headers
operations/             health, metrics, commands for whoever runs it
page/                   the sidebar's page, and what it opens with
files/                  the pages' files: digest, compression, and who serves them
job_specs/              list, install, uninstall, as the sidebar sees them; the list cache
sidebar/                who is asking: the signed page, its session, roles; status, disconnect, activity
oauth/                  the handshake, the grant, handing out live tokens
zis_registry            the ZIS Registry API: pages, names, refusals
activity, lookers       who did what to an account, and when; who has looked at it
events                  an author, an event, and the entry that tells of several
zendesk/                reaching one account: address, transport, deadlines, what a failure means
vault, rate_limits      sealing records; our own limits
executor, shares        what goes on beside a request; places that nobody takes all of
bodies                  bodies of requests being read, counted by address
plain_http              what came by http where PUBLIC_URL is https
cross_origin            what browsers let pages of other origins do (CORS)
store, shared_reads     the only door to Redis; what threads read from it together
redis_pool, redis_faults, network_faults   its connections; what a failure means
addresses               finds hosts within a limit: Zendesk's, and Redis's
settings, errors        every environment variable; the error tree and how it is shown
metrics, shared_counts  what is counted and timed, by whoever does it; what workers share of it
deadlines, subdomains   how long a request may take; what an account is called
sandbox/                the Zendesk simulator with its agent workspace (nothing imports it)
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask
    from redis import Redis

    from service.settings import Settings


def create_app(settings: "Settings | None" = None, *, redis: "Redis | None" = None) -> "Flask":
    """Return the application, as `service.app` does; for `flask --app service`.

    Where the flask command looks for the commands it has, and the settings are faulty, it is an application with the
    commands alone: `--help` has to work, and what needs settings then says what is wrong with them.

    Raises:
        SettingsError: the environment does not describe a working service, and somebody wants to serve it.
    """
    # Inside, so that importing a part of this package does not import all of it.
    import click  # noqa: PLC0415
    from flask.cli import FlaskGroup  # noqa: PLC0415

    from service.app import create_app as build  # noqa: PLC0415
    from service.operations.commands import commands_alone  # noqa: PLC0415
    from service.settings import SettingsError  # noqa: PLC0415

    try:
        return build(settings, redis=redis)
    except SettingsError as fault:
        context = click.get_current_context(silent=True)
        # Flask's own `run`, `shell` and `routes` have a context of their own here.
        if context is None or not isinstance(context.command, FlaskGroup):
            raise
        return commands_alone(fault)
