"""What a failure of Redis is called: by its text, whatever class redis-py gives it."""

import socket
import ssl

import pytest
from redis import Redis
from redis._parsers.base import BaseParser
from redis.exceptions import RedisError

from service.ground.network_faults import NetworkFault, network_fault
from service.store.redis_faults import cause_of, words_of
from service.store.store import Store
from tests.conftest import MakeApp
from tests.steps import collaborator

# As the servers say it: Redis 6.2.14 and 7.2.4, Valkey 8.1 and 9.1.
TEXTS = {
    "max number of clients": ("ERR max number of clients reached", "connection"),
    "cluster clients": ("ERR max number of clients + cluster connections reached", "connection"),
    "password": ("WRONGPASS invalid username-password pair or user is disabled.", "authentication"),
    "old password": ("ERR invalid password", "authentication"),
    "no password": ("NOAUTH Authentication required.", "authentication"),
    "password not set": (
        (
            "ERR AUTH <password> called without any password configured for the default user. Are you sure your "
            "configuration is correct?"
        ),
        "authentication",
    ),
    "rights": ("NOPERM User app has no permissions to run the 'getdel' command", "authentication"),
    "rights in a script": (
        "ERR ACL failure in script: User app has no permissions to run the 'hset' command script: 1f.",
        "authentication",
    ),
    "replica": ("READONLY You can't write against a read only replica.", "read_only"),
    "replica in a script": (
        "READONLY You can't write against a read only replica. script: 1f, on @user_script:2.",
        "read_only",
    ),
    "replica in a script of 6.2": (
        "ERR Error running script (call to f_1): @user_script:2: @user_script: 2: -READONLY You can't write against a.",
        "read_only",
    ),
    "full": ("OOM command not allowed when used memory > 'maxmemory'.", "full"),
    "full in a script of 6.2": (
        "ERR Error running script (call to f_1): @user_script:2: @user_script: 2: -OOM command not allowed when used.",
        "full",
    ),
    "disk": ("MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist", "other"),
    "loading": ("LOADING Redis is loading the dataset in memory", "connection"),
    "master down": ("MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", "connection"),
    "cluster": ("CROSSSLOT Keys in request don't hash to the same slot", "other"),
    "moved": ("MOVED 3999 127.0.0.1:6381", "other"),
    "cluster down": ("CLUSTERDOWN The cluster is down", "connection"),
    "busy": ("BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.", "other"),
    "too old": ("ERR unknown command `GETDEL`, with args beginning with: `zis:x`,", "other"),
}


def raised(text: str) -> RedisError:
    """Return what redis-py makes of a refusal."""
    fault = BaseParser.parse_error(text)  # type: ignore[no-untyped-call]  # redis-py leaves it so
    assert isinstance(fault, RedisError)
    return fault


@pytest.mark.parametrize(("text", "kind"), TEXTS.values(), ids=TEXTS.keys())
def test_every_refusal_has_its_kind_and_what_to_do(text: str, kind: str) -> None:
    cause = cause_of(raised(text))
    assert cause.kind == kind
    assert cause.says.endswith(".")
    assert cause.advice.endswith(".")
    assert cause is not cause_of(raised("ERR of another kind"))


def test_refusals_of_different_reasons_have_sentences_of_their_own() -> None:
    says = {cause_of(raised(text)).says for text, _ in TEXTS.values()}
    assert len(says) == 12


def test_a_password_that_an_old_redis_quotes_is_not_passed_on() -> None:
    fault = raised("ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `app`, `canary-0123`, ")
    assert words_of(fault) == "unknown command `HELLO`."


@pytest.mark.parametrize(
    "text", [TEXTS["replica"][0], TEXTS["replica in a script"][0], TEXTS["replica in a script of 6.2"][0]]
)
def test_a_replica_leads_to_new_connections_however_it_says_so(text: str, redis_url: str, make_app: MakeApp) -> None:
    store = collaborator(make_app(), Store)
    client = Redis(connection_pool=store.redis.connection_pool)
    before = client.client_id()
    store.note_failure(raised(text))
    assert client.client_id() != before, redis_url


# --- the network and TLS ---


def failing_at(code: int) -> ssl.SSLCertVerificationError:
    fault = ssl.SSLCertVerificationError(1, "certificate verify failed")
    fault.verify_code = code
    return fault


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (socket.gaierror(-2, "Name or service not known"), NetworkFault.UNKNOWN_NAME),
        (ConnectionRefusedError(111, "Connection refused"), NetworkFault.REFUSED),
        (OSError(113, "No route to host"), NetworkFault.UNREACHABLE),
        (TimeoutError("timed out"), NetworkFault.TIMED_OUT),
        (ConnectionResetError(104, "Connection reset by peer"), NetworkFault.CLOSED),
        (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), NetworkFault.CLOSED),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER] wrong version number"), NetworkFault.NOT_TLS),
        (ssl.SSLError(1, "[SSL: RECORD_LAYER_FAILURE] record layer failure"), NetworkFault.NOT_TLS),
        (ssl.SSLError(1, "[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] alert"), NetworkFault.CLIENT_CERTIFICATE),
        (ssl.SSLError(1, "[SSL: NO_CIPHERS_AVAILABLE] no ciphers"), NetworkFault.TLS),
        (failing_at(9), NetworkFault.NOT_YET_VALID),
        (failing_at(10), NetworkFault.EXPIRED),
        (failing_at(20), NetworkFault.UNTRUSTED),
        (failing_at(62), NetworkFault.OTHER_NAME),
        (failing_at(85), NetworkFault.TOO_LAX),
        (failing_at(7), NetworkFault.BAD_CERTIFICATE),
    ],
    ids=repr,
)
def test_what_the_system_says_is_found_behind_what_was_raised(fault: OSError, kind: NetworkFault) -> None:
    told = RedisError("Error while connecting")
    # As redis-py and urllib3 do.
    told.__context__ = fault
    assert network_fault(told) is kind
    assert kind.value in cause_of(told).says


def test_what_does_not_come_of_the_network_is_none_of_its_faults() -> None:
    assert network_fault(ValueError("x")) is None


# --- in the log ---


def test_the_log_says_what_happened_and_what_to_do_once_a_minute(
    make_app: MakeApp, capsys: pytest.CaptureFixture[str]
) -> None:
    app = make_app(REDIS_URL="redis://127.0.0.1:1/0")
    for _ in range(3):
        assert app.test_client().get("/readyz").status_code == 503
    lines = [line for line in capsys.readouterr().out.splitlines() if "redis_failed" in line]
    (line,) = lines
    assert NetworkFault.REFUSED.value in line
    assert "Start it, or correct REDIS_URL." in line
