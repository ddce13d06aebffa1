"""Starts the store, the simulated Zendesk and the service, watches them, and stops them together."""

import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Protocol

from sandbox.environment import service_environment, shell_script
from sandbox.forgetting import Forgetting
from sandbox.ports import PortTaken, service_addresses
from sandbox.service_process import ServiceProcess
from sandbox.simulator import Simulator
from sandbox.store_groups import started_store
from sandbox.store_process import StoreMissing

READY_WITHIN_SECONDS = 60.0
POLL_SECONDS = 0.1
# A look at the store costs a connection; once a second is soon enough to say that it died.
STORE_EVERY_POLLS = 10
OK, FAILED, PORT_TAKEN = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says. Port 0: any free one; `service_port` None: the one after `port`."""

    port: int = 9000
    service_port: int | None = None
    workers: int = 2
    store: str = "one"
    """`one`, `sentinel` or `cluster`."""
    is_direct: bool = False
    is_verbose: bool = False
    changes: Mapping[str, str] = field(default_factory=dict)


class Store(Protocol):
    """What holds the data."""

    @property
    def runs(self) -> bool:
        """Whether it goes on."""
        ...


class _Died(Exception):
    """A part ended by itself."""


class _Stopped(Exception):
    """Somebody asked for the end while starting."""


class Launcher:
    """One run of the sandbox."""

    def __init__(self, options: Options) -> None:
        self._options = options
        # Set by signal handlers, which must not take locks: a plain flag, looked at often.
        self._stop_asked = False

    def run(self) -> int:
        """Run until somebody asks for the end or a part dies; return the exit status."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_signal)
        folder = Path(tempfile.mkdtemp(prefix="zis-sandbox-"))
        status = FAILED
        try:
            status = self._run(folder)
        except _Stopped:
            status = OK
        except (_Died, StoreMissing) as exc:
            _say(f"\nThe sandbox failed: {exc}")
        except PortTaken as exc:
            _say(self._about_port(exc.port))
            status = PORT_TAKEN
        finally:
            if status == FAILED and any(folder.glob("*.log")):
                _say(f"Logs are kept in {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
        return status

    def _run(self, folder: Path) -> int:
        options = self._options
        with ExitStack() as parts:
            simulator = self._bind_simulator()
            parts.callback(simulator.stop)
            port = int(simulator.address.rpartition(":")[2])
            asked = options.service_port
            addresses = service_addresses((port + 1 if options.port else 0) if asked is None else asked)
            service_url = f"http://localhost:{addresses[0].rpartition(':')[2]}"
            simulator.use_service(service_url)
            _say("Starting the store …")
            store = started_store(options.store, folder)
            parts.callback(store.stop)
            forgetting = Forgetting(store.clients)
            simulator.on_reset = forgetting.everything
            simulator.on_people_changed = forgetting.roles
            self._go_on()
            _say("Starting the simulated Zendesk …")
            simulator.start()
            began = time.monotonic()
            _say("Starting the service …")
            environment = service_environment(
                service_url=service_url,
                store_url=store.url,
                url_template=simulator.url_template,
                front_end=simulator.packaged_app_origin,
                is_direct=options.is_direct,
                changes=options.changes,
            )
            settings = folder / "settings.sh"
            settings.write_text(shell_script(environment))
            service = ServiceProcess(
                addresses,
                workers=options.workers,
                environment=environment,
                log_path=None if options.is_verbose else folder / "service.log",
            )
            parts.callback(service.stop)
            # Whatever the service waits for ends first, so that it can end politely.
            parts.callback(simulator.release)
            self._await_ready(service)
            welcome = _welcome(simulator, service_url, service, options, settings)
            if options.store != "one":
                welcome = welcome.replace("\n  Connect ", f"\n  Store             {store.url}\n  Connect ")
            _say(f"Ready after {time.monotonic() - began:.1f} s.\n\n{welcome}")
            self._watch(service, store)
            _say("\nStopping …")
        _say("Stopped.")
        return OK

    def _bind_simulator(self) -> Simulator:
        try:
            return Simulator(self._options.port)
        except OSError as exc:
            raise PortTaken(self._options.port) from exc

    def _await_ready(self, service: ServiceProcess) -> None:
        began = said = time.monotonic()
        while not service.is_ready():
            self._go_on()
            _check(service)
            now = time.monotonic()
            if now - began > READY_WITHIN_SECONDS:
                raise _Died(_with_log(f"the service was not ready after {READY_WITHIN_SECONDS:.0f} s", service))
            if now - said > 5:  # seconds between two signs of life
                said = now
                _say(f"  still starting, {now - began:.0f} s …")
            time.sleep(POLL_SECONDS)

    def _watch(self, service: ServiceProcess, store: Store) -> None:
        polls = 0
        while not self._stop_asked:
            time.sleep(POLL_SECONDS)
            _check(service)
            polls += 1
            if polls % STORE_EVERY_POLLS == 0 and not store.runs and not self._stop_asked:
                raise _Died("the store ended by itself")

    def _go_on(self) -> None:
        if self._stop_asked:
            raise _Stopped

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        self._stop_asked = True

    def _about_port(self, port: int) -> str:
        if port == self._options.port:
            return f"Port {port} is taken by another program. Choose another: `make sandbox PORT={port + 100}`."
        return f"Port {port}, meant for the service, is taken by another program. Choose one with --service-port."


def _check(service: ServiceProcess) -> None:
    status = service.exit_status
    if status is not None:
        raise _Died(_with_log(f"the service ended by itself with status {status}", service))


def _with_log(fact: str, service: ServiceProcess) -> str:
    lines = service.last_lines()
    return "\n".join([fact + (". Its last words:" if lines else ""), *(f"  | {line}" for line in lines)])


def _welcome(simulator: Simulator, service_url: str, service: ServiceProcess, options: Options, settings: Path) -> str:
    mode = "direct (client zis_acme_orders, account acme)" if options.is_direct else "mint"
    log = "this terminal" if service.log_path is None else str(service.log_path)
    return f"""\
  Open {simulator.address}/

  Agent workspace   {simulator.address}/  (simulated Zendesk: accounts acme, globex, initech)
  Service           {service_url}/  (mode: {mode})
  Connect           press Connect in the sidebar, then Allow as Ada Morgan, admin of acme; there are no passwords
  Break things      with the workspace's buttons, or over HTTP: {simulator.address}/_sim/
  Commands          . {settings}; .venv/bin/flask --app service accounts
  Service log       {log}

Press Ctrl-C to stop everything."""


def _say(text: str) -> None:
    print(text, flush=True)
