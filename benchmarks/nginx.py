"""nginx that adds a static token to whatever is asked: what a hop costs at the least."""

from pathlib import Path

from benchmarks.processes import WORKERS, Program, free_port, program_path

_CONFIGURATION = """
daemon off;
worker_processes {workers};
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 2048; }}
http {{
  access_log /dev/null;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  keepalive_requests 1000000000;
  upstream zendesk {{ server 127.0.0.1:{upstream_port}; keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://zendesk;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Authorization "Bearer {token}";
    }}
  }}
}}
"""


def nginx(folder: Path, upstream_port: int, path: str, token: str) -> Program | None:
    """Start nginx in front of the upstream; None: it is not installed."""
    found = program_path("nginx")
    if found is None:
        return None
    port = free_port()
    configuration = folder / "nginx.conf"
    configuration.write_text(
        _CONFIGURATION.format(workers=WORKERS, folder=folder, upstream_port=upstream_port, port=port, token=token)
    )
    command = [found, "-p", str(folder), "-c", str(configuration), "-e", "stderr"]
    return Program(command, port=port, path=path, log=folder / "nginx.log")
