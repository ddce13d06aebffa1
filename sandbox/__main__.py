"""`python -m sandbox`: everything on one machine, without a Zendesk account."""

import argparse
import sys

from sandbox.launcher import Launcher, Options

_ABOUT = """\
Runs the whole thing on this machine, without a Zendesk account and without network: an embedded store, a simulated
Zendesk with an agent workspace, and this service. Open the address it prints."""

_EXAMPLES = """\
examples:
  python -m sandbox                      workspace on port 9000, service on 9001
  python -m sandbox --port 0             any free ports
  python -m sandbox --mode direct        with the OAuth client of one ZIS integration
  python -m sandbox --set LIST_CACHE_SECONDS=0

Ends with status 0 when stopped (Ctrl-C or SIGTERM), 1 when a part died, 2 when a port is taken."""


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:  # the last port there is
        raise argparse.ArgumentTypeError(f"{text!r} is no port: 0 to 65535")
    return int(text)


def _workers(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= 64:  # more is a slip of the finger
        raise argparse.ArgumentTypeError(f"{text!r} is no number of workers: 1 to 64")
    return int(text)


def _change(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def main() -> int:
    """Read the command line and run; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m sandbox",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--port", type=_port, default=9000, help="of the workspace and simulator; 0: any free one (9000)"
    )
    parser.add_argument("--service-port", type=_port, help="of the service; 0: any free one (the one after --port)")
    parser.add_argument("--workers", type=_workers, default=2, help="processes of the service (2)")
    parser.add_argument(
        "--mode",
        choices=("mint", "direct"),
        default="mint",
        help="mint: an ordinary OAuth client, ZIS tokens are minted; direct: the client of one ZIS integration (mint)",
    )
    parser.add_argument(
        "--store",
        choices=("one", "sentinel", "cluster"),
        default="one",
        help="one server; a Sentinel group (a master, two replicas, three Sentinels); a Cluster of six (one)",
    )
    parser.add_argument("--verbose", action="store_true", help="the service's log goes to this terminal")
    parser.add_argument(
        "--set",
        dest="changes",
        metavar="NAME=VALUE",
        type=_change,
        action="append",
        default=[],
        help="sets a variable of the service's environment; may be repeated, empty unsets",
    )
    asked = parser.parse_args()
    options = Options(
        port=asked.port,
        service_port=asked.service_port,
        workers=asked.workers,
        store=asked.store,
        is_direct=asked.mode == "direct",
        is_verbose=asked.verbose,
        changes=dict(asked.changes),
    )
    return Launcher(options).run()


if __name__ == "__main__":
    sys.exit(main())
