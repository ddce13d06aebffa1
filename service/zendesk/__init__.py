"""Reaching one account.

transport      pooled connections, total time limits, size caps; the only maker of `requests` sessions
tls            which certification authorities are trusted
bulkhead       how many threads may wait for one account
flights        one question for all threads that ask the same
measured       counts and times calls
clock          tells the log where our clock is far from Zendesk's
calls          one call to an account: what is repeated, and what a failure means
replies        what came back, and Zendesk's own words in it
"""
