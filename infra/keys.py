"""`python -m infra.keys NAME`: make an API key on the machine itself, such as the first of a deployment."""

import argparse
import sys

from services.access import keys
from services.base.database import Database
from services.base.errors import ImagoError
from services.base.settings import Settings, SettingsError


def main() -> int:
    """Create a key and print its token."""
    parser = argparse.ArgumentParser(prog="python -m infra.keys", description=__doc__)
    parser.add_argument("name", help="whom or what the key is for")
    parser.add_argument(
        "--scope", action="append", choices=keys.SCOPES, help="may be given several times; by default all"
    )
    given = parser.parse_args()
    try:
        database = Database(Settings().database_url, pool_size=1)
        with database.session() as session:
            _, token = keys.create_key(session, given.name, given.scope or keys.SCOPES)
        database.dispose()
    except (ImagoError, SettingsError) as error:
        print(error, file=sys.stderr)
        return 1
    print(token)
    return 0


if __name__ == "__main__":
    sys.exit(main())
