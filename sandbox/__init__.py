"""The sandbox: a Zendesk simulator with an agent workspace, and a launcher that runs it with this service.

simulator/    accounts, OAuth, users, the ZIS registry, fault switches; runs in a thread
workspace/    the page that stands for Zendesk's agent workspace
forgetting    what the service is made to forget, so that a button shows its effect at once
launcher      `python -m sandbox`: store, simulator and service together

Nothing imports it, and it imports nothing of the service: they meet over HTTP alone.
"""
