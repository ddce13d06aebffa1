"""What docs/benchmarks.md quotes figures of.

`python -m benchmarks` (`make bench`) compares the service with what else one could do, all of it in one run:

subjects     what is compared: the service, the naive version, the floor, nginx, no hop at all
naive        the version one would write first
floor        Flask answering a constant, under the service's own gunicorn settings
upstream     a stand-in for Zendesk that answers fast, after a delay
world        a store, the upstream and connected accounts
processes    programs on free ports, ended with the run
load         callers that ask again as soon as they are answered: wrk, or closed_loop where there is none
crowd        callers that come at their own time, each once
grid         requests a second, latencies, CPU and questions to Zendesk, side by side
events       a herd of sidebars, a storm of refreshes
footprint    start-up, memory, what is kept in Redis and asked of it
opening      a ticket opened in a browser, cold and warm
slow_link    the way between browser and service
results      all of a run, and what was aimed for
figures      medians with their spread
report       the tables
check        ratios that may not get worse

filter_typing, filter_clearing (the page, in a browser) and scale (what docs/scale.md quotes) are benchmarks of their
own.
"""
