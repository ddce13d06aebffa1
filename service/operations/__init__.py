"""For whoever runs the service.

pages     the front page with the steps that remain, robots.txt, favicon.ico
api_description/
          /openapi.json and /docs
health    /livez and /readyz
scrape    /metrics
processes what the service's processes use
logs      one line an event, without secrets
commands  what `flask --app service` can do; each command has a module of its own
console   what the commands share: how they are run, how they speak, how they end
interruptions, progress
          Ctrl-C, and what is said while something takes long
connected_accounts, sealed_records, key_rotation
          going through what is stored
doctor/   `doctor`: is everything as it should be?
zendesk_app/
          `package-app`: the Zendesk app of manifest/, and what is looked at before it is packed
"""
