"""Signals in one process; `faults/test_signals.py` sends them to whole runs."""

import os
import signal
import sys
import threading
import time

import pytest

from automl.errors import Interrupted
from automl.signals import SIGNALS, Stopped, check, held, listening, watch


def send(number: int = signal.SIGTERM) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_listening__raises_at_once_and_gives_the_handlers_back(number):
    before = [signal.getsignal(n) for n in SIGNALS]
    threads = threading.active_count()

    def work() -> None:
        with listening():
            send(number)
            time.sleep(5)

    with pytest.raises(Stopped, match=f"stopped by {signal.Signals(number).name}"):
        work()
    assert [signal.getsignal(n) for n in SIGNALS] == before
    assert signal.set_wakeup_fd(-1) == -1
    time.sleep(0.3)
    assert threading.active_count() == threads


def test_held__lets_the_block_end_first():
    done = []

    def work() -> None:
        with listening() as stop:
            with held(), held():
                send()
                time.sleep(0.3)
                done.append(stop.asked)
            done.append("not reached")

    with pytest.raises(Stopped):
        work()
    assert done == [True]


def test_watch__the_loops_own_word_is_the_last():
    def work() -> None:
        with listening():
            try:
                with watch() as stop:
                    send(signal.SIGUSR1)
                    raise Interrupted(f"stopped by {stop.signal}; all is saved")
            finally:
                time.sleep(0.3)  # nothing breaks into what is cleaned up
                check()

    with pytest.raises(Interrupted, match="SIGUSR1; all is saved"):
        work()


def test_watch__a_signal_that_no_loop_looked_at_is_not_lost():
    def work() -> None:
        with watch():
            send()

    with pytest.raises(Stopped):
        work()


def test_check__raises_again_what_a_library_has_dropped(monkeypatch):
    monkeypatch.setattr("automl.signals.DROPPED_S", 0.0)

    def work() -> None:
        with listening():
            try:
                send()
                time.sleep(5)
            except BaseException:  # as some libraries do
                time.sleep(0.05)
            check()

    with pytest.raises(Stopped):
        work()


def test_an_import__is_not_broken_off(tmp_path, monkeypatch):
    (tmp_path / "slow_to_import.py").write_text(
        "import os, time\nos.kill(os.getpid(), 15)\ntime.sleep(0.3)\nwhole = 1\n"
    )
    monkeypatch.syspath_prepend(tmp_path)

    def work() -> None:
        with listening():
            import slow_to_import  # noqa: F401

            time.sleep(5)

    began = time.monotonic()
    with pytest.raises(Stopped):
        work()
    assert time.monotonic() - began < 2
    assert sys.modules.pop("slow_to_import").whole == 1


def test_a_forked_worker__leaves_the_answer_to_its_parent():
    with listening():
        child = os.fork()
        if not child:
            time.sleep(1)
            os._exit(7)
        time.sleep(0.2)
        for number in SIGNALS:
            os.kill(child, number)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    check()


def test_elsewhere_than_in_the_main_thread__nothing_is_heard():
    heard = []

    def work() -> None:
        with watch() as stop:
            heard.append(stop.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
