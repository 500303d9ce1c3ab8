"""`python -m migrations`: the one step of a deployment that changes the schema. Every replica may run it."""

import sys

from services.base.database import migrate
from services.base.errors import Unavailable
from services.base.settings import Settings, SettingsError

if __name__ == "__main__":
    try:
        migrate(Settings().database_url)
    except (SettingsError, Unavailable) as error:
        sys.exit(str(error))
