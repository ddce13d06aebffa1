"""What an account has granted, and live tokens from it.

granted        what an account has granted
grants         where that is kept
grant_ends     when grants end, over all accounts
clients        clients of an account, each with the token it needs
access_tokens  hands out a grant's live access token; refreshes once for everybody
refreshing     one refresh: note, ask, store, settle
refresh_rules  what a refresh concludes, as functions of data
leases         one at a time: in this process, then among all of them
cool_down      how long nobody asks the token endpoint again
pending_pairs  pairs that Redis did not take yet, and tokens still to be revoked
stored_pairs   pairs that Redis took lately, looked at again in case a failover has lost them
zis_tokens     an integration's own token: minted once for everybody, and anew when it is refused
minting        asking Zendesk for it
conditions     whether a grant is usable, and the error that says why not
signs          what Zendesk has said against an account although its grant may be good
probes         whether an integration is ready: one question to the registry
revocation     telling Zendesk that tokens are no longer wanted
upkeep         once a day: refresh what is past half of its life
alerts         telling the operator's webhook what a person has to mend
"""
