"""Why a connection could not be made or broke: names, refusals, certificates. Knows nothing of who connects."""

import socket
import ssl
from collections.abc import Iterator
from enum import Enum

from service.ground.addresses import NameTimeout


class NetworkFault(Enum):
    """A kind of failure; its value is what happened, as a sentence about the server."""

    UNKNOWN_NAME = "No address was found for its host's name."
    REFUSED = "Nothing listens at its address and port: the connection was refused."
    UNREACHABLE = "No way leads to its address."
    NAME_TIMED_OUT = "The address of its host's name was not found in time."
    TIMED_OUT = "It did not answer in time."
    CLOSED = "It closed the connection."
    NOT_TLS = "It does not speak TLS on this port."
    EXPIRED = "Its certificate has expired, or this machine's clock is fast."
    NOT_YET_VALID = "Its certificate is not valid yet: most likely this machine's clock is slow."
    OTHER_NAME = "Its certificate is for another host's name."
    UNTRUSTED = "Its certificate was signed by nobody this machine trusts."
    TOO_LAX = "Its certificate, or its CA's, breaks a rule that Python 3.13 and newer insist on (RFC 5280)."
    BAD_CERTIFICATE = "Its certificate cannot be verified."
    CLIENT_CERTIFICATE = "It asks for a client certificate, and was given none, or one that it does not accept."
    TLS = "TLS could not be agreed on."


# OpenSSL's numbers (X509_V_ERR_…, x509_vfy.h.in).
_CERTIFICATE_FAULTS = {
    9: NetworkFault.NOT_YET_VALID,
    10: NetworkFault.EXPIRED,
    18: NetworkFault.UNTRUSTED,
    19: NetworkFault.UNTRUSTED,
    20: NetworkFault.UNTRUSTED,
    21: NetworkFault.UNTRUSTED,
    62: NetworkFault.OTHER_NAME,
    64: NetworkFault.OTHER_NAME,
    # Those of X509_V_FLAG_X509_STRICT, which Python sets by itself since 3.13.
    **dict.fromkeys((79, *range(85, 95)), NetworkFault.TOO_LAX),
}
# OpenSSL's words for alerts of the other side, and for what is no TLS at all.
_TLS_FAULTS = (
    ("CERTIFICATE_REQUIRED", NetworkFault.CLIENT_CERTIFICATE),
    ("ALERT_BAD_CERTIFICATE", NetworkFault.CLIENT_CERTIFICATE),
    ("ALERT_UNKNOWN_CA", NetworkFault.CLIENT_CERTIFICATE),
    ("WRONG_VERSION_NUMBER", NetworkFault.NOT_TLS),
    ("RECORD_LAYER_FAILURE", NetworkFault.NOT_TLS),
    ("UNEXPECTED_EOF", NetworkFault.CLOSED),
)
_SYSTEM_FAULTS: tuple[tuple[type[OSError], NetworkFault], ...] = (
    (socket.gaierror, NetworkFault.UNKNOWN_NAME),
    (ConnectionRefusedError, NetworkFault.REFUSED),
    # A socket that is not there.
    (FileNotFoundError, NetworkFault.REFUSED),
    (NameTimeout, NetworkFault.NAME_TIMED_OUT),
    (TimeoutError, NetworkFault.TIMED_OUT),
    (ConnectionError, NetworkFault.CLOSED),
    (ssl.SSLZeroReturnError, NetworkFault.CLOSED),
    (ssl.SSLEOFError, NetworkFault.CLOSED),
    (ssl.SSLError, NetworkFault.TLS),
    (OSError, NetworkFault.UNREACHABLE),
)


def causes(fault: BaseException) -> Iterator[BaseException]:
    """Yield an exception, and what it came from, outermost first."""
    cause: BaseException | None = fault
    while cause is not None:
        yield cause
        cause = cause.__cause__ or cause.__context__


def network_fault(fault: BaseException) -> NetworkFault | None:
    """Return what the system or TLS says in an exception or what it came from; None: neither says anything."""
    said = next((one for one in causes(fault) if isinstance(one, OSError)), None)
    if said is None:
        return None
    if isinstance(said, ssl.SSLCertVerificationError):
        # Only one that OpenSSL has raised has the number.
        return _CERTIFICATE_FAULTS.get(getattr(said, "verify_code", 0), NetworkFault.BAD_CERTIFICATE)
    if isinstance(said, ssl.SSLError):
        for words, kind in _TLS_FAULTS:
            if words in str(said):
                return kind
    return next(kind for family, kind in _SYSTEM_FAULTS if isinstance(said, family))
