"""`python -m infra.local COMMAND`: imago and its servers on this machine, with their data in one folder."""

import argparse
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path

from infra.local.process import ProcessError
from infra.local.servers import Servers
from infra.local.stack import Stack, environment_of, stop_all
from infra.local.supervision import interruptible, member

_DEFAULT_HOME = Path(__file__).resolve().parents[2] / ".imago"


def up(home: Path) -> int:
    """start PostgreSQL, Valkey and SeaweedFS in the background"""
    began = time.monotonic()
    endpoints = Servers(home).start()
    print(f"PostgreSQL, Valkey and SeaweedFS run, {time.monotonic() - began:.1f} s. Data in {home}")
    for name, value in endpoints.environment().items():
        print(f"  {name}={value}")
    return 0


def run(home: Path) -> int:
    """start everything and stay: the servers, the API and one worker; Ctrl-C stops what this started"""
    print("Starting PostgreSQL, Valkey, SeaweedFS, the API and one worker …", flush=True)
    with interruptible():
        try:
            with Stack(home) as stack:
                print(
                    f"""
  API            {stack.api_url}
  documentation  {stack.api_url}/docs
  key            {stack.key}
  data and logs  {home}

  export IMAGO_URL={stack.api_url} IMAGO_API_KEY={stack.key}

Ctrl-C stops everything.
""",
                    flush=True,
                )
                stack.follow()
        except KeyboardInterrupt:
            print("\nStopped.")
    return 0


def down(home: Path) -> int:
    """stop everything that runs on this folder"""
    print("Stopped." if stop_all(home) else "Nothing was running.")
    return 0


def status(home: Path) -> int:
    """say what runs; exit code 1 when something does not"""
    if not (home / "servers.json").exists():
        print(f"Nothing has been started in {home}")
        return 1
    servers = Servers(home)
    processes = [server.process for server in servers.all] + [
        member(home, name) for name in ("api", "worker")
    ]
    for process in processes:
        print(f"{process.name:<10} " + (f"running, pid {process.pid}" if process.running else "stopped"))
    return 0 if all(process.running for process in processes) else 1


def env(home: Path) -> int:
    """print the settings as shell commands: eval "$(python -m infra.local env)" """
    servers = Servers(home)
    if not servers.running:
        print("The servers do not run: python -m infra.local up", file=sys.stderr)
        return 1
    for name, value in environment_of(servers).items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def demo(home: Path) -> int:
    """submit a first job to an imago of its own, wait for it and write its pictures into one grid"""
    from infra.local.demo import main as run_demo

    with interruptible():
        return run_demo(home)


_COMMANDS: dict[str, Callable[[Path], int]] = {
    "run": run, "up": up, "down": down, "status": status, "env": env, "demo": demo,
}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, command in _COMMANDS.items():
        sub = commands.add_parser(name, help=command.__doc__)
        sub.add_argument("--home", type=Path, default=_DEFAULT_HOME, help="folder of the data (%(default)s)")
    given = parser.parse_args()
    try:
        return _COMMANDS[given.command](given.home.resolve())
    except ProcessError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
