"""The public key of the account's Zendesk app: from settings, memory, Redis or Zendesk, in this order.

Redis is not needed to open the page. Whoever comes while a key is being fetched waits for it, three seconds at most.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog
from joserfc.jwk import RSAKey

from service.ground import records
from service.ground.deadlines import Deadline
from service.ground.errors import Failure, ServiceError, StoreUnavailable, ZendeskTimeout, ZendeskUnavailable
from service.ground.settings import Settings
from service.ground.settings_parsing import parse_public_key
from service.ground.subdomains import Subdomain
from service.people.key_fetches import KeyFetches
from service.store.store import Store
from service.store.vault import KeyMissing, Vault
from service.web.rate_limits import REFUSED_REQUESTS, RateLimits
from service.zendesk.bulkhead import Bulkhead
from service.zendesk.calls import ForeignReply, ZendeskCalls
from service.zendesk.client import AccountClient
from service.zendesk.replies import Reply

YOUNG_SECONDS = 24 * 3600
# While it cannot be fetched, the last good key serves on for this long.
LAST_GOOD_SECONDS = 7 * 24 * 3600
FAILURE_SECONDS = 60
# On a bad signature the key is fetched again, at most once in this time per account.
AGAIN_SECONDS = 60
KNOWN_APPS = 4096
FETCH_SECONDS = 3.0
# With so much less time than that, a time-out is the caller's own.
HURRY_SECONDS = 0.5
LONGEST_PEM = 8192
# What `_key` returns, as a pattern; for whoever goes through everything that is sealed.
KEY_PATTERN = "zis:{*}:app_key:*"

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Known:
    key: RSAKey | None = None
    fetched_at: float = float("-inf")
    failed_at: float = float("-inf")
    failure: Failure | None = None
    again_at: float = float("-inf")


class AppKeys:
    """Keeps one key per account and app; instants are Unix seconds."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        vault: Vault,
        calls: ZendeskCalls,
        bulkhead: Bulkhead,
        limits: RateLimits,
        clock: Callable[[], float],
    ) -> None:
        pem = settings.zendesk_app_public_key
        self._configured = None if pem is None else RSAKey.import_key(pem)
        self._store = store
        self._vault = vault
        self._calls = calls
        self._limits = limits
        self._clock = clock
        self._known: OrderedDict[tuple[Subdomain, int], _Known] = OrderedDict()
        self._lock = threading.Lock()
        self.fetches = KeyFetches(bulkhead)
        # Where any account may connect anybody can name one; the others were named by the operator.
        self._takes_any = settings.zendesk_subdomains is None
        self._leaves_store = False

    def leave_store_as_found(self) -> None:
        """Keep from now on what is fetched in this process alone.

        For a process of a release that is not live yet: what it seals, the live one may not have the key to open.
        """
        self._leaves_store = True

    def get(self, account: Subdomain, app_id: int, deadline: Deadline, asker: str | None = None) -> RSAKey:
        """Return the key, fetched at most a day ago; up to a week old while it cannot be fetched.

        `asker` is the address that makes us ask, as it is counted; None: this service itself.

        Raises:
            RateLimited: there is none, and too many refused requests came from `asker`.
            ServiceError: there is none, and it cannot be fetched; remembered for a minute.
        """
        if self._configured is not None:
            return self._configured
        known = self._entry(account, app_id)
        now = self._clock()
        if known.key is not None and now - known.fetched_at < YOUNG_SECONDS:
            return known.key
        if known.key is None and self._take_from_store(account, app_id, known):
            return self.get(account, app_id, deadline, asker)
        try:
            # Looked at here, too, so that nobody takes a place for what is known already.
            if known.failure is not None and now - known.failed_at < FAILURE_SECONDS:
                raise known.failure.error()
            self._look(asker)
            client = AccountClient(self._calls, account, deadline)
            return self._joined(client, app_id, known, asker, lambda within: self._fetch_once(within, app_id, known))
        except ServiceError:
            if known.key is not None and now - known.fetched_at < LAST_GOOD_SECONDS:
                return known.key
            raise

    def fetch_again(
        self, account: Subdomain, app_id: int, refused: RSAKey, deadline: Deadline, asker: str | None = None
    ) -> RSAKey | None:
        """Return a newer key than `refused`, with which a signature did not hold; None: there is none to be had.

        One is fetched at most once a minute; whoever comes meanwhile waits for it.

        Raises:
            RateLimited: too many refused requests came from `asker`.
        """
        if self._configured is not None:
            return None
        known = self._entry(account, app_id)
        if self._clock() - known.again_at >= AGAIN_SECONDS:
            self._look(asker)
        elif not self.fetches.is_under_way((account, app_id)):
            return known.key if known.key is not refused else None

        def ask(client: AccountClient) -> RSAKey:
            now = self._clock()
            if now - known.again_at < AGAIN_SECONDS:
                # The question that was to be joined has ended just now.
                return known.key or refused
            # Not before: whoever finds the minute begun relies on the question being under way, or ended.
            known.again_at = now
            return self._fetch(client, app_id, known)

        try:
            key = self._joined(AccountClient(self._calls, account, deadline), app_id, known, asker, ask)
        except ServiceError as failure:
            _log.warning("app_key_not_fetched", account=account, code=failure.code)
            return None
        return key if key is not refused else None

    def _joined(
        self,
        client: AccountClient,
        app_id: int,
        known: _Known,
        asker: str | None,
        ask: Callable[[AccountClient], RSAKey],
    ) -> RSAKey:
        """Return the key that `ask` brings, or whoever asks already."""
        within = client.until(client.deadline.sooner(FETCH_SECONDS))
        is_made_up = self._takes_any and asker is not None and known.key is None
        about = (client.account, app_id)
        return self.fetches.join(about, asker, within.deadline, lambda: ask(within), is_made_up=is_made_up)

    def _entry(self, account: Subdomain, app_id: int) -> _Known:
        with self._lock:
            known = self._known.setdefault((account, app_id), _Known())
            # Anybody can name accounts where any may connect; the longest unused is forgotten.
            self._known.move_to_end((account, app_id))
            if len(self._known) > KNOWN_APPS:
                self._known.popitem(last=False)
            return known

    def _look(self, asker: str | None) -> None:
        """Return if refused requests do not forbid `asker` to make us ask Zendesk.

        Raises:
            RateLimited: they do.
        """
        if asker is not None:
            self._limits.look(REFUSED_REQUESTS, asker)

    def _fetch_once(self, client: AccountClient, app_id: int, known: _Known) -> RSAKey:
        """Fetch the key, unless that was done or failed just now: by whoever asked before this thread's turn."""
        now = self._clock()
        if known.key is not None and now - known.fetched_at < YOUNG_SECONDS:
            return known.key
        if known.failure is not None and now - known.failed_at < FAILURE_SECONDS:
            raise known.failure.error()
        is_hurry = client.deadline.left() < FETCH_SECONDS - HURRY_SECONDS
        try:
            return self._fetch(client, app_id, known)
        except ServiceError as failure:
            if is_hurry and isinstance(failure, ZendeskTimeout):
                # The caller's own deadline was near: that is nothing to hold against the account for a minute.
                raise
            known.failed_at, known.failure = now, Failure.of(failure)
            # Told here, because the last good key may serve on for days before anybody notices.
            _log.warning("app_key_not_fetched", account=client.account, code=failure.code)
            raise

    def _fetch(self, client: AccountClient, app_id: int, known: _Known) -> RSAKey:
        path = f"/api/v2/apps/{app_id}/public_key"
        key = None
        # What Zendesk answers here where it has no key need not be JSON; the other address decides.
        with suppress(ForeignReply):
            reply = client.get(f"{path}.pem", kind="key")
            key = _key_in(reply)
        if key is None:
            reply = client.get(path, kind="key")
            key = _key_in(reply)
        if key is None:
            raise ZendeskUnavailable(
                f"Zendesk gave no public key for the app {app_id}. Check ZENDESK_APPS, or set ZENDESK_APP_PUBLIC_KEY.",
                upstream_status=reply.status,
            )
        known.key, known.fetched_at, known.failure = key, self._clock(), None
        if self._leaves_store:
            return key
        try:
            # Sealed although public: whoever could plant a key here could open the page as anybody.
            name = _key(client.account, app_id)
            record = records.write({"pem": reply.body.decode()})
            self._store.write(("SET", name, self._vault.seal(name, record), "EX", LAST_GOOD_SECONDS))
        except StoreUnavailable as failure:
            _log.warning("app_key_not_kept", account=client.account, code=failure.code)
        return key

    def _take_from_store(self, account: Subdomain, app_id: int, known: _Known) -> bool:
        """Take over the key another process fetched; False: there is none, or Redis is away."""
        name = _key(account, app_id)
        try:
            sealed, milliseconds = self._store.read(("GET", name), ("PTTL", name))
            key = None if sealed is None else self._vault.parsed(name, sealed, _stored_key)
        except (StoreUnavailable, KeyMissing):
            return False
        if key is None:
            return False
        # At most its whole life: a longer one was not given by us.
        left = min(LAST_GOOD_SECONDS, milliseconds / 1000)
        known.key, known.fetched_at = key, self._clock() - (LAST_GOOD_SECONDS - left)
        return True


def _key(account: Subdomain, app_id: int) -> str:
    return f"zis:{{{account}}}:app_key:{app_id}"


def _key_in(reply: Reply) -> RSAKey | None:
    return _key_of(reply.body) if reply.is_success else None


def _stored_key(plaintext: bytes) -> RSAKey | None:
    """Return the key in a record, or in the bare PEM that the first release stored; None: there is none."""
    if plaintext.startswith(b"{"):
        pem = records.read(plaintext).get("pem")
        return _key_of(pem.encode()) if isinstance(pem, str) else None
    return _key_of(plaintext)


def _key_of(pem: bytes) -> RSAKey | None:
    """Return the RSA public key in `pem`; None: it holds none, or one too short."""
    if len(pem) > LONGEST_PEM:
        return None
    try:
        return RSAKey.import_key(parse_public_key(pem.decode()))
    except ValueError:
        return None
