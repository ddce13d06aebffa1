"""What everything stands on. Knows neither what is in Redis nor Zendesk.

settings          every environment variable; `settings_parsing` reads one
errors            what this service refuses or cannot do
deadlines         how long a request may take
executor          what goes on beside a request, in threads of its own
single_flight     one question for all threads that ask the same
shares            places that nobody takes all of
metrics           what is counted and timed; `shared_counts`, what workers share of it
addresses         finds hosts within a limit: Zendesk's, and Redis's
subdomains        what an account is called
redis_address     what REDIS_URL says
outbound_proxy    the proxy to Zendesk
network_faults    what a failure of the network means
records           how a stored record is written and read
memo, timestamps  values made once; instants as text
"""
