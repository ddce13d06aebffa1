"""The process that serves.

gunicorn_config  gunicorn's settings
gunicorn_worker  the threads that serve requests, and which connection holds one
logs             one line an event
health           /livez and /readyz
scrape           /metrics
processes        what this service's processes use
"""
