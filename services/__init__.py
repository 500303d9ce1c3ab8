"""What the system is: settings, tables, the catalog, jobs, leases, storage. Knows neither HTTP nor torch."""
