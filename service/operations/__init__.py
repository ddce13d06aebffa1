"""For whoever runs the service.

pages     the front page with the steps that remain, robots.txt, favicon.ico
api_description/
          /openapi.json and /docs
health    /livez and /readyz
scrape    /metrics
processes what the service's processes use
logs      one line an event, without secrets
commands  what `flask --app service` can do
zendesk_app/
          `package-app`: the Zendesk app of manifest/ and the rules it has to pass
"""
