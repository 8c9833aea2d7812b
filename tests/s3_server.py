"""An S3 server of our own for tests: `python s3_server.py LOG` prints its port, and writes each request to LOG."""

from __future__ import annotations

import sys
from typing import Any


def main() -> None:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    app = DomainDispatcherApplication(create_backend_app)
    log = open(sys.argv[1], "a", buffering=1)  # noqa: SIM115 (as long as the process)

    def logged(environ: dict[str, Any], start_response: Any) -> Any:
        pinned = "pinned" if "HTTP_IF_MATCH" in environ else "-"
        query = environ.get("QUERY_STRING", "")
        log.write(f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}{'?' if query else ''}{query} {pinned}\n")
        return app(environ, start_response)

    server = make_server("127.0.0.1", 0, logged, threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
