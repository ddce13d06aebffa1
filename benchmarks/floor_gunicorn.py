"""The service's own gunicorn settings, without the hooks that speak to its settings and collaborators."""

from service.server import gunicorn_config

_OF_THE_SERVICE = frozenset({"on_starting", "post_worker_init", "worker_exit"})

# gunicorn looks at the names it knows and at no others.
globals().update(
    {
        name: value
        for name, value in vars(gunicorn_config).items()
        if not name.startswith("_") and name not in _OF_THE_SERVICE
    }
)
