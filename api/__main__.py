"""`python -m api [serve]` serves; `python -m api openapi` prints the contract that is committed as
openapi.json, and `client-help` what is committed as the client's descriptions.json.
"""

import argparse
import os
import sys


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m api", description="The HTTP API of imago.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve HTTP (the default)")
    environment = os.environ.get
    serve.add_argument("--host", default=environment("IMAGO_API_HOST", "127.0.0.1"))
    serve.add_argument("--port", type=int, default=environment("IMAGO_API_PORT", "8000"))
    serve.add_argument(
        "--workers", type=int, default=environment("IMAGO_API_WORKERS", "1"), help="processes (default 1)"
    )
    serve.add_argument(
        "--threads",
        type=int,
        default=environment("IMAGO_API_THREADS", "16"),
        help="of each process (default 16)",
    )
    commands.add_parser("openapi", help="print the OpenAPI document")
    commands.add_parser("client-help", help="print what the client's help says of requests")
    return parser


def main(arguments: list[str]) -> int:
    """Serve, or print the OpenAPI document or the client's help."""
    if not arguments or (arguments[0].startswith("--") and arguments[0] != "--help"):
        arguments = ["serve", *arguments]
    given = _parser().parse_args(arguments)
    if given.command == "openapi":
        from api.application import build
        from api.openapi.document import canonical, document

        sys.stdout.write(canonical(document(build())))
        return 0

    if given.command == "client-help":
        from api.openapi.client_help import client_help

        sys.stdout.write(client_help())
        return 0

    from api.serving import serve
    from services.base.log import configure
    from services.base.settings import Settings

    settings = Settings()
    configure(settings.log_format, settings.log_level)
    serve(settings, host=given.host, port=given.port, workers=given.workers, threads=given.threads)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
