"""The only door to Redis.

store           reads, writes and scripts, and what their failures mean
shared_reads    reads of several threads that travel together
redis_pool      connections, for one server
redis_sentinel  to whichever server of a group is master now
redis_cluster   to whichever server of a cluster has the key
redis_faults    what a failure of Redis means
vault           seals what is stored
activity        who did what to an account; `events` is one entry of it
lookers         who has looked at an account
"""
