"""Who is asking, and what they may do.

zaf_jwt         Zendesk's signed request
app_keys        the app's public key: from settings, memory, Redis or Zendesk
key_fetches     keys being fetched: one question an account, a share for each who makes us ask
sessions        our own short-lived bearer
session_routes  its renewal
claims          by which another front end fetches the session that a sign-in made
machine_tokens  what a program shows instead of a session
guard           what every API route checks first
roles           may this person look, may they change? asked of Zendesk
role            what Zendesk's answer about a person allows, and the sentence that says why not
"""
