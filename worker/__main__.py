"""`python -m worker`: one worker, a Celery parent without torch and its one child that computes; one for each
device where `IMAGO_DEVICE` names several."""

import logging
import os
import sys
import warnings
from typing import Any

from celery import signals
from celery.exceptions import SecurityWarning

from services.base import log as logs
from services.base.settings import Settings, SettingsError
from worker.process.app import create_app
from worker.process.parent import watch_over
from worker.process.per_device import NoSuchDevice, environment_of, run_one_each


def main() -> None:
    """Run until SIGTERM, SIGINT or SIGQUIT."""
    try:
        settings = Settings()
    except SettingsError as error:
        sys.exit(f"worker: {error}")
    logs.configure(settings.log_format, settings.log_level)
    try:
        if len(settings.devices) > 1:
            sys.exit(run_one_each(settings.devices, settings.stop_seconds))
        # The child reads it again.
        os.environ.update(environment_of(settings.device, os.environ))
    except NoSuchDevice as error:
        sys.exit(f"worker: {error}")

    def keep_our_logging(**_: Any) -> None:
        """Celery sets logging up unless someone is connected to this signal."""

    def before_the_pool(instance: Any, **_: Any) -> None:
        watch_over(instance, settings.stop_seconds)

    # Waiting threads of a parallel loop give their core up at once. Otherwise they spin, and where the
    # servers share the machine that costs most of the time: measured, an ascent on two busy cores ran ten
    # times slower. OpenMP reads this when torch is loaded, so the child has to inherit it.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    for chatty in ("celery.worker.strategy", "celery.worker.request"):
        # They report every doorbell, and as "revoked task" each that rang while there was other work.
        logging.getLogger(chatty).setLevel(logging.WARNING)
    signals.setup_logging.connect(keep_our_logging)
    signals.celeryd_after_setup.connect(before_the_pool)
    # It tells root that messages could run code. Ours are JSON and name one task, see `create_app`; the user
    # of `make up` could do nothing about it, and containers have a user of their own.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    app = create_app(settings)
    # Workers need not find, clock or watch each other: no broadcast queues in the broker.
    app.worker_main(["--quiet", "worker", "--without-gossip", "--without-mingle", "--without-heartbeat"])


if __name__ == "__main__":
    main()
