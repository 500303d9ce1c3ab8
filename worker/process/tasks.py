"""The one Celery task. It carries no work: what is to be done are rows."""

from celery import shared_task, signals

from services.base.broker import TASK
from worker.process import child

signals.worker_process_init.connect(child.start)
signals.worker_process_shutdown.connect(child.shut_down)


@shared_task(name=TASK, ignore_result=True)
def work() -> None:
    """Someone rang: come and claim. Lost, late and repeated messages are harmless."""
    child.answer()
