"""Holds a Zendesk OAuth grant well, and lists, installs and uninstalls ZIS job specs for a sidebar app.

The rooms, top first; imports point down:

wsgi, app     what gunicorn imports; makes the application, registers blueprints
services      the collaborators, built once, by name
operations/   commands, doctor, front page, API description, the Zendesk app's package
server/       gunicorn's settings and worker, logs, health, what a scrape gets
sidebar/      the sidebar's page: what it opens with, and its files
account/      one account: status, disconnecting, activity
job_specs/    list, install, uninstall, desired state; the list cache
connecting/   the handshake; signing in
people/       who is asking: Zendesk's signed request, sessions, machine tokens, roles
grants/       what an account has granted; live tokens from it: refresh, mint, revoke, upkeep, alerts
zendesk/      reaching one account: client, transport, replies; the registry, users and token endpoint
web/          what every request begins with and every answer carries: deadline, limits, bodies, documents
store/        the only door to Redis; sealing; activity, who has looked
ground/       settings, errors, deadlines, metrics, threads

The simulated Zendesk is in `sandbox/`, beside this package, which knows nothing of it.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask
    from redis import Redis

    from service.ground.settings import Settings


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
    from service.ground.settings import SettingsError  # noqa: PLC0415
    from service.operations.commands import commands_alone  # noqa: PLC0415

    try:
        return build(settings, redis=redis)
    except SettingsError as fault:
        context = click.get_current_context(silent=True)
        # Flask's own `run`, `shell` and `routes` have a context of their own here.
        if context is None or not isinstance(context.command, FlaskGroup):
            raise
        return commands_alone(fault)
