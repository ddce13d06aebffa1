"""The handshake, the grant, and live tokens from it.

routes                  /oauth/authorize and /oauth/callback
handshake               what a callback does, step by step, without a web framework
states                  one-time states with their PKCE verifier, bound to a browser and an account
authorization_server    Zendesk's authorize and token endpoints; the only user of Authlib
grants                  what an account has granted, and where it is kept
access_tokens           hands out a live access token; refreshes once for everybody
cool_down               how long nobody asks the token endpoint again
unsaved                 pairs that Redis did not take yet, and tokens still to be revoked
stored_pairs            pairs that Redis took lately, looked at again in case a failover has lost them
zis_tokens              from a grant to the token of one integration: direct or minted
minting                 asking Zendesk for an integration's token
people                  who a person is, asked of Zendesk
revocation              telling Zendesk that tokens are no longer wanted
upkeep                  once a day: refresh what is past half of its life
"""
