"""`doctor`: is everything as it should be, and if not, what is to be done.

command            what the operator types, and how the answer is printed
examination        the order of the checks, and the time they have
findings           what a check says
settings_checks    the environment: faults, and what is allowed but odd
redis_reach        can Redis be reached
redis_checks       Redis: encrypted, new enough, writable, roomy, lasting
key_checks         SECRET_KEYS against what is stored
zendesk_checks     our clock against Zendesk's
account_checks     one account: its grant, its admin, its integrations, its app's key
"""
