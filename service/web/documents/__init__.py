"""What the API takes and says, as models: they read parameters, write answers, and are what /openapi.json describes.

queries      the parameters in an address
job_specs    lists and changes
desired_state   plans, and what became of them
inputs       documents that callers send
account      status, session, disconnecting, activity
problems     errors (RFC 9457), health
"""
