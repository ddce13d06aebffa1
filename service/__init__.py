"""Holds a Zendesk OAuth grant well, and lists, installs and uninstalls ZIS job specs for a sidebar app.

The rooms, top first; imports point down:

wsgi, gunicorn_config   what gunicorn reads
app                     builds the collaborators once, registers blueprints
answers                 what every request begins with and every answer carries; error pages, headers
operations/             health, commands for whoever runs it
job_specs/              list, install, uninstall, as the sidebar sees them; the list cache
sidebar/                who is asking: the signed page, its session, roles; status and disconnect
oauth/                  the handshake, the grant, handing out live tokens
zis_registry            the ZIS Registry API: pages, names, refusals
zendesk/                reaching one account: address, transport, deadlines, what a failure means
vault, rate_limits      sealing records; our own limits
store                   the only door to Redis
settings, errors        every environment variable; the error tree and how it is shown
deadlines, subdomains   how long a request may take; what an account is called
sandbox/                the Zendesk simulator with its agent workspace (nothing imports it)
"""
