"""For whoever runs the service.

pages     the front page with the steps that remain, robots.txt, favicon.ico
health    /livez and /readyz
logs      one line an event, without secrets
"""
