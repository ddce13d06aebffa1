"""Connecting an account, and signing a person in: both by Zendesk's consent page.

routes        /oauth/authorize, /oauth/callback and /signin
handshake     what a callback does, step by step, without a web framework
states        one-time states with their PKCE verifier, bound to a browser and an account
sign_in       the same handshake with the smallest scope, ending in a session
claim_routes  where another front end fetches that session
"""
