"""The commands of `flask --app service`.

One that needs a working environment asks for its collaborators as a view does; where the settings are faulty it then
ends with the list of the faults. So every `--help`, and `package-app`, work without any setting.
"""

import click
from flask import Flask

from service.operations.accounts_command import accounts
from service.operations.activity_command import activity
from service.operations.disconnect_command import disconnect
from service.operations.doctor.command import doctor
from service.operations.job_specs_command import job_specs
from service.operations.machine_tokens_command import machine_tokens
from service.operations.refresh_tokens_command import refresh_tokens
from service.operations.rotate_keys_command import rotate_keys
from service.operations.zendesk_app.command import package_app
from service.web.request import refuse_services

COMMANDS: tuple[click.Command, ...] = (
    doctor,
    accounts,
    refresh_tokens,
    rotate_keys,
    disconnect,
    job_specs,
    machine_tokens,
    activity,
    package_app,
)


def register_commands(app: Flask) -> None:
    """Let `flask --app service` know our commands."""
    for command in COMMANDS:
        app.cli.add_command(command)


def commands_alone(fault: Exception) -> Flask:
    """Return an application that serves nothing and has our commands; `fault`: why there is no more of it."""
    app = Flask("service")
    refuse_services(app, fault)
    register_commands(app)
    return app
