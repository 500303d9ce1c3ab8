"""The Celery app. Each option says which failure it prevents; the measurements behind them are Celery 5.7's
with Valkey."""

from celery import Celery

from services.base.broker import QUEUE
from services.base.settings import Settings


def create_app(settings: Settings) -> Celery:
    """An app that consumes doorbells. It knows its task by name; only the processes of a worker import it."""
    app = Celery("imago", broker=settings.broker_url, backend=None, set_as_current=True)
    app.conf.update(
        # A spawned child knows tasks only by what it imports.
        imports=("worker.process.tasks",),
        task_default_queue=QUEUE,
        # A doorbell is nothing to keep: acknowledged early it cannot be redelivered while its batch runs,
        # which with late acknowledgement runs long tasks several times at once (celery#5935) or without end
        # (celery#9082).
        task_acks_late=False,
        # Results and chords would leave keys in the broker for ever; the rows are the result.
        task_ignore_result=True,
        # One worker must not hoard the bells that would wake the others; and a busy one takes none at all
        # (celery#6500).
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,
        # JSON only: whoever can write to the broker must not be able to run code here by a pickle.
        accept_content=["json"],
        task_serializer="json",
        # threads and solo cannot be told to stop in mid-task, nor survive a child that crashes (celery#6938).
        worker_pool="prefork",
        # One batch at a time owns the device; more children would share its memory without knowing of each
        # other.
        worker_concurrency=1,
        # CUDA does not survive a fork (pytorch#40403), nor do database sockets (celery#1564).
        worker_pool_start_method="spawn",
        # A fresh interpreter on a busy machine takes longer than the default of 4 s, and would be killed
        # over and over.
        worker_proc_alive_timeout=120,
        # The child works without a broker, so a dead one at the start, or for days, is no reason to give up.
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        # What runs is not tied to the broker's connection; canceling it would throw a batch away
        # (celery#8091).
        worker_cancel_long_running_tasks_on_connection_loss=False,
        # After a reconnect the prefetch window would shrink by each running task, and here stay shut.
        worker_enable_prefetch_count_reduction=False,
        broker_transport_options={
            # A broker that went silent without closing its sockets is noticed, not waited for.
            "socket_timeout": 5,
            "socket_connect_timeout": 3,
            "health_check_interval": 25,
            "socket_keepalive": True,
            # Matters only to messages in flight when the parent dies; they are worthless by then
            # (expires=30).
            "visibility_timeout": 3600,
        },
        # Remote control would let whoever reaches the broker shut workers down; its queues also outlive them.
        worker_enable_remote_control=False,
        worker_send_task_events=False,
        # Our own logging is JSON on stderr; Celery would replace its handlers and wrap stdout line by line.
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
    )
    return app
