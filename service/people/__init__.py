"""Who is asking: Zendesk's signed request and its keys, our sessions, machine tokens, roles."""
