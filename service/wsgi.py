"""What gunicorn imports: `gunicorn service.wsgi:app`."""

import sys

from service.app import create_app
from service.settings import SettingsError

try:
    app = create_app()
except SettingsError as faults:
    faults.show()
    sys.exit(faults.exit_code)
