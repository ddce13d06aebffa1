"""The process: gunicorn's settings and worker, logs, health, what a scrape gets."""
