"""A simulated Zendesk: OAuth, people, and the ZIS registry of three accounts, with faults on demand.

simulator          start, stop, sign; what tests use
world              accounts, the call log, held requests; one lock
accounts, people, integrations    what one account holds
default_world      what they hold at the start
application        a request's way: account, faults, handler
authorize, token_endpoint, api_v2, api_clients, api_tokens, registry, registry_lists, refusals    Zendesk's behaviour
switches, faults, actions, control    how to bend it, in Python and at `/_sim`
signing            signed requests for the sidebar
workspace_pages    the agent workspace page
http_server, messages    HTTP, kept apart from all that

`/_sim/` describes the control surface. Times follow `time.time()`, so a test's time machine moves them.
"""

from sandbox.simulator.accounts import Account, secret_of
from sandbox.simulator.default_world import APP_ID, CLIENT_ID, CLIENT_SECRET, SHARED_NAME
from sandbox.simulator.exchange import API_TOKEN
from sandbox.simulator.faults import Fault
from sandbox.simulator.integrations import Integration, JobSpec
from sandbox.simulator.signing import public_key_pem
from sandbox.simulator.simulator import Simulator
from sandbox.simulator.world import Call, World

__all__ = [
    "API_TOKEN",
    "APP_ID",
    "CLIENT_ID",
    "CLIENT_SECRET",
    "SHARED_NAME",
    "Account",
    "Call",
    "Fault",
    "Integration",
    "JobSpec",
    "Simulator",
    "World",
    "public_key_pem",
    "secret_of",
]
