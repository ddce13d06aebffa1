"""What gunicorn imports: `gunicorn service.wsgi:app`."""

from service.app import create_app
from service.sidebar.routes import render_ahead

# With faulty settings this raises, and gunicorn gives up instead of starting worker after worker.
app = create_app()
# Before the first request: a burst of them would each do it.
render_ahead(app)
