"""What a failure of Redis means: its kind, what happened and what to do. The error's text decides.

redis-py's classes do not: inside a script Redis 6.2 wraps its refusals ("ERR Error running script … -READONLY …").
"""

import re
from dataclasses import dataclass

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import LockError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.ground.network_faults import NetworkFault, causes, network_fault


@dataclass(frozen=True, slots=True)
class Cause:
    """Why Redis did not do what it was asked."""

    kind: str
    """As the metrics count it."""
    says: str
    """What happened, as a sentence."""
    advice: str
    """What the operator can do."""
    may_pass: bool = True
    """By itself, so that trying again for a minute makes sense."""
    is_demoted: bool = False
    """New connections may lead to another server."""


TOO_MANY = Cause(
    "connection",
    "Redis takes no more connections: the limit of its plan (maxclients) is reached.",
    "Lower WEB_CONCURRENCY or the number of machines, end what else uses this Redis, or choose a plan with more "
    "connections.",
)
RIGHTS = Cause(
    "authentication",
    "Redis does not let this user run a command that the service needs.",
    "Give the user in REDIS_URL the rights that docs/operate.md lists.",
    may_pass=False,
)
_PASSWORD = Cause(
    "authentication", "Redis refuses user and password.", "Correct user and password in REDIS_URL.", may_pass=False
)
BUSY_POOL = Cause(
    "connection",
    "All of this process's connections to Redis are in use: it is slow.",
    "Look at its load, its slow log, and the way to it.",
)
CLUSTER = Cause(
    "other",
    "This Redis is a Cluster, and REDIS_URL names it like a single one: most keys are on other nodes.",
    "Write it with redis+cluster:// in REDIS_URL.",
    may_pass=False,
)
_TEXTS: tuple[tuple[re.Pattern[str], Cause], ...] = tuple(
    (re.compile(text), cause)
    for text, cause in (
        (r"max number of clients", TOO_MANY),
        (r"No connection available", BUSY_POOL),
        (r"\b(WRONGPASS|NOAUTH)\b|invalid (username-)?password|called without any password", _PASSWORD),
        # The last of Valkey and Redis 7 about what a script calls; the wording of 6.2 has the word.
        (r"\bNOPERM\b|has no permissions|ACL failure in script", RIGHTS),
        (
            r"No Sentinel knows the master",
            Cause(
                "connection",
                "The Sentinels know no master of the name in REDIS_URL.",
                "Correct the name behind the hosts in REDIS_URL.",
                may_pass=False,
            ),
        ),
        (
            r"\bNOREPLICAS\b",
            Cause(
                "read_only",
                "This Redis takes no writes because too few replicas follow it (min-replicas-to-write).",
                "Start its replicas. A master that was cut off in a failover says so until it is demoted.",
                is_demoted=True,
            ),
        ),
        (
            r"\bREADONLY\b|is no master any more",
            Cause(
                "read_only",
                "This Redis is a replica, or a master that has been demoted: it takes no writes.",
                "If this stays, let REDIS_URL lead to the master.",
                is_demoted=True,
            ),
        ),
        (
            r"\bOOM\b|used memory > 'maxmemory'",
            Cause("full", "Redis is full: its memory (maxmemory) is used up.", "Make room, or choose a larger plan."),
        ),
        (
            r"\bMISCONF\b",
            Cause(
                "other",
                "Redis cannot save to its disk, and takes no writes until it can.",
                "Look at Redis's log and its disk.",
            ),
        ),
        (r"\bLOADING\b|loading the dataset", Cause("connection", "Redis is loading its data.", "Wait until it has.")),
        (
            r"\bMASTERDOWN\b",
            Cause(
                "connection",
                "This Redis is a replica that has lost its master.",
                "Let REDIS_URL lead to the master.",
                is_demoted=True,
            ),
        ),
        (
            r"is always said to be on another node",
            Cause(
                "connection",
                "The nodes of the Redis Cluster do not agree about who has a slot.",
                "If it lasts, repair it: redis-cli --cluster fix.",
            ),
        ),
        (r"\b(CROSSSLOT|MOVED|ASK)\b|don't hash to the same slot|undeclared key", CLUSTER),
        (r"\bCLUSTERDOWN\b", Cause("connection", "The Redis Cluster is down.", "Look at its nodes.")),
        (r"\bBUSY\b", Cause("other", "Redis is busy with somebody's long script.", "End it: SCRIPT KILL.")),
        (
            r"unknown (sub)?command|[Uu]nknown Redis command",
            Cause(
                "other",
                "Redis does not know a command that the service needs.",
                "Use Redis 6.2 or newer, or Valkey.",
                may_pass=False,
            ),
        ),
    )
)
_REACH_ADVICE = "Start it, or correct REDIS_URL."
_NETWORK_ADVICE = {
    NetworkFault.CLOSED: (
        "Look whether it runs. Under TLS this is also what it does where it takes no more connections: lower "
        "WEB_CONCURRENCY, or choose a plan with more."
    ),
    NetworkFault.UNKNOWN_NAME: "Correct the host in REDIS_URL, or look at this machine's name servers.",
    NetworkFault.NAME_TIMED_OUT: "Look at this machine's name servers.",
    NetworkFault.NOT_TLS: "Check that the port of REDIS_URL speaks TLS (rediss://), and REDIS_TLS_CA.",
    NetworkFault.TLS: "Check that the port of REDIS_URL speaks TLS (rediss://), and REDIS_TLS_CA.",
    NetworkFault.EXPIRED: "Renew it, or set the clock.",
    NetworkFault.NOT_YET_VALID: "Set the clock.",
    NetworkFault.OTHER_NAME: "Use the name in the certificate in REDIS_URL.",
    NetworkFault.UNTRUSTED: (
        "Set REDIS_TLS_CA to the file of the CA that signed the server's certificate. Heroku Key-Value Store signs its "
        "own: there set REDIS_TLS_VERIFY=false."
    ),
    NetworkFault.TOO_LAX: (
        "Have certificate and CA made anew with the extensions named; until then run Python 3.12, or set "
        "REDIS_TLS_VERIFY=false."
    ),
    NetworkFault.BAD_CERTIFICATE: "Have it made anew, or set REDIS_TLS_CA to the file of the CA that signed it.",
    NetworkFault.CLIENT_CERTIFICATE: (
        "Name certificate and key in REDIS_URL: rediss://…?ssl_certfile=/path/cert.pem&ssl_keyfile=/path/key.pem."
    ),
}
_PASSING_NETWORK = {
    NetworkFault.UNKNOWN_NAME,
    NetworkFault.REFUSED,
    NetworkFault.UNREACHABLE,
    NetworkFault.NAME_TIMED_OUT,
    NetworkFault.TIMED_OUT,
    NetworkFault.CLOSED,
}
_LATE = {NetworkFault.NAME_TIMED_OUT, NetworkFault.TIMED_OUT}


def cause_of(fault: BaseException) -> Cause:
    """Return what a failure of Redis means."""
    if isinstance(fault, LockError):
        return Cause("lease_lost", "A lease was over before its work was.", "Look at what took so long.")
    for one in causes(fault):
        text = f"{getattr(one, 'status_code', None) or ''} {one}"
        for pattern, cause in _TEXTS:
            if isinstance(one, RedisError) and pattern.search(text):
                return cause
    met = network_fault(fault)
    if met is not None:
        kind = "timeout" if met in _LATE else "connection"
        advice = _NETWORK_ADVICE.get(met, _REACH_ADVICE)
        return Cause(kind, f"Redis: {met.value}", advice, may_pass=met in _PASSING_NETWORK)
    if isinstance(fault, RedisTimeoutError):
        return Cause("timeout", f"Redis: {NetworkFault.TIMED_OUT.value}", _REACH_ADVICE)
    if isinstance(fault, RedisConnectionError):
        return Cause("connection", "The connection to Redis broke, or none was free.", _REACH_ADVICE)
    return Cause("other", "Redis refused a command.", "See its words, and its log.")


def words_of(fault: BaseException) -> str:
    """Return Redis's or the system's own words in one line; they name host, port, user and key, never a password."""
    # Redis 5, which does not know HELLO, quotes what was sent with it: the password.
    words = str(fault).partition("with args beginning with")[0]
    return " ".join(words.split()).rstrip(".,") + "."
