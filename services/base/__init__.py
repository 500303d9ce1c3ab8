"""What every feature stands on: settings, database, object store, broker, errors, paging, times and ids."""
