"""The handshake, the grant, and live tokens from it.

routes                  /oauth/authorize and /oauth/callback
handshake               what a callback does, step by step, without a web framework
states                  one-time states with their PKCE verifier, bound to a browser and an account
authorization_server    Zendesk's authorize and token endpoints; the only user of Authlib
granted                 what an account has granted
grants                  where that is kept
clients                 clients of an account, each with the token it needs
access_tokens           hands out a grant's live access token; refreshes once for everybody
refreshing              one refresh: note, ask, store, settle
cool_down               how long nobody asks the token endpoint again
unsaved                 pairs that Redis did not take yet, and tokens still to be revoked
stored_pairs            pairs that Redis took lately, looked at again in case a failover has lost them
zis_tokens              an integration's own token: minted once for everybody, and anew when it is refused
minting                 asking Zendesk for it
people                  who a person is, asked of Zendesk
revocation              telling Zendesk that tokens are no longer wanted
upkeep                  once a day: refresh what is past half of its life
"""
