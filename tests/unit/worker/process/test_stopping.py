import subprocess
import sys
import threading
import time

from worker.process.stopping import StopFlag

ASK_WHILE_ASKING = """
import signal, sys
from worker.process.stopping import StopFlag

signal.signal(signal.SIGURG, lambda number, frame: flag.ask(10))
interrupted = -1

def interrupt_at(place):
    passed = -1

    def trace(frame, event, argument):
        nonlocal passed
        global interrupted
        frame.f_trace_opcodes = True
        passed += 1
        if passed == place:
            interrupted = place
            signal.raise_signal(signal.SIGURG)
        return trace

    return trace

place = 0
while interrupted == place - 1:
    flag = StopFlag()
    sys.settrace(interrupt_at(place))
    flag.ask(10)
    sys.settrace(None)
    assert flag.asked and not flag.out_of_time
    place += 1
print(place)
"""


def test_a_signal_that_interrupts_another_at_any_instruction_does_not_lock_up() -> None:
    run = subprocess.run(
        [sys.executable, "-c", ASK_WHILE_ASKING], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 10  # places that were tried


def test_whoever_waits_is_woken_by_a_stop() -> None:
    flag = StopFlag()
    assert not flag.wait(0.01)
    threading.Timer(0.05, flag.ask, [60]).start()
    began = time.monotonic()
    assert flag.wait(600)
    assert time.monotonic() - began < 300


def test_the_first_stop_sets_the_deadline() -> None:
    flag = StopFlag()
    assert not flag.out_of_time
    flag.ask(0)
    flag.ask(1000)
    assert flag.out_of_time
