"""Reaching one account.

transport      pooled connections, size caps; the only maker of `requests` sessions
watchdog       total time limits: shuts the socket of a call whose time is up
tls            which certification authorities are trusted
bulkhead       how many threads may wait for one account
measured       counts and times calls
clock          tells the log where our clock is far from Zendesk's
client         the client of one account: one deadline, one credential; a refused token is replaced once
calls          one request to an account: what is repeated, and what a failure means
replies        what came back, and Zendesk's own words in it
zis_registry   the ZIS registry's API: pages, names, refusals
users          who a person is
authorization_server  authorize and token endpoints; the only user of Authlib
"""
