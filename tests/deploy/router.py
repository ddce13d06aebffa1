"""nginx as the platform's router: ends TLS, sets the router's headers, shares the load among processes."""

import subprocess
from pathlib import Path

from tests.leftovers import end_with_us
from tests.programs import nginx_path
from tests.tls import Certificate

_CONFIGURATION = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  # Milliseconds, as the router says them.
  map $msec $start {{ "~^(?<seconds>\\d+)\\.(?<milliseconds>\\d+)$" "$seconds$milliseconds"; }}
  upstream processes {{ {servers} }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {key};
    location / {{
      proxy_pass http://processes;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto https;
      proxy_set_header X-Forwarded-Port {port};
      proxy_set_header X-Request-Id $request_id;
      proxy_set_header X-Request-Start $start;
      proxy_set_header Via "1.1 vegur";
      proxy_read_timeout 30s;
    }}
  }}
}}
"""


class Router:
    """A running nginx in front of `ports`."""

    def __init__(self, folder: Path, port: int, ports: list[int], certificate: Certificate) -> None:
        servers = " ".join(f"server 127.0.0.1:{one} max_fails=0;" for one in ports)
        configuration = folder / "nginx.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder, port=port, servers=servers, certificate=certificate.certificate, key=certificate.key
            )
        )
        self._process = subprocess.Popen([nginx_path(), "-p", str(folder), "-c", str(configuration)])  # noqa: S603
        end_with_us(self._process.pid)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(30)
