"""What gunicorn imports: `gunicorn service.wsgi:app`."""

from service.app import create_app

# With faulty settings this raises, and gunicorn gives up instead of starting worker after worker.
app = create_app()
